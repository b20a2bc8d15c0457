"""Where every tensor lives on chip: one static plan per network, configuration and block count."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hw.compiler.frontend.network import Network
from hw.compiler.plan.sizes import NoRoomError, Sizes, sizes
from hw.compiler.plan.streamed import Streamed, plan_act
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.lib.numbers import ceil_div


@dataclass(frozen=True)
class Region:
    """A token-major tensor in the activation buffer: ``stride`` words per row group."""

    base: int
    stride: int


@dataclass(frozen=True)
class Part:
    """A token block: row groups ``first`` to ``first + groups``."""

    first: int
    groups: int

    @property
    def end(self) -> int:
        """The group behind the last one."""
        return self.first + self.groups


def split(total: int, parts: int, first: int = 0) -> list[Part]:
    """Cut ``total`` groups into ``parts`` blocks that differ by at most one."""
    bounds = [first + i * total // parts for i in range(parts + 1)]
    return [Part(a, b - a) for a, b in itertools.pairwise(bounds)]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The memory plan.

    ``parts`` are the token blocks of the MLP, ``adds`` those of the projection, ``embeds`` those of
    the patch embedding. ``resident`` tells whether the residual stream lives in RESIDUAL, where
    each token takes ``residual_stride`` words, or in DRAM; ``whole_hidden`` tells whether the
    hidden layer of all blocks fits at once. What attention leaves stays in ``attn``, or
    (``attn_resident`` false) goes to DRAM head by head, its two latest heads at ``attn``, and comes
    back for the projection, block by block to one of two ``visits``. ``x`` holds LayerNorm
    outputs; ``q``, ``attn``, ``visits``, ``hidden`` and ``patches`` share one work area because
    they are never alive together where they overlap. ``ring`` words of the stream buffer hold
    weights, the keys of one head follow at ``keys``. With ``streamed`` all these tensors are at
    home in DRAM and it says where their blocks pass through ACT.
    """

    config: Config
    tokens: int
    groups: int
    parts: tuple[Part, ...]
    adds: tuple[Part, ...]
    embeds: tuple[Part, ...]
    resident: bool
    whole_hidden: bool
    x: Region
    q: Region
    attn: Region
    attn_resident: bool
    visits: tuple[int, int]
    hidden: Region
    patches: Region
    ring: int
    keys: int
    key_stride: int
    key_tiles: int
    values: tuple[int, ...]
    norms: tuple[int, ...]
    slots: int
    residual_stride: int
    streamed: Streamed | None
    used: dict[str, tuple[int, int]]

    def rows_last(self, part: Part) -> int:
        """Real rows of the last group of ``part``."""
        return min(self.config.rows, self.tokens - (part.end - 1) * self.config.rows)

    def token_range(self, part: Part) -> tuple[int, int]:
        """First token and token count of ``part``."""
        first = part.first * self.config.rows
        return first, min(self.tokens, part.end * self.config.rows) - first


#: Numbers of token blocks that the cost model compares for a network that lives on chip.
BLOCK_COUNTS = (1, 2, 3, 4, 6)


def block_counts(network: Network, config: Config) -> list[int]:
    """Numbers of token blocks worth comparing, the fewest first."""
    size = sizes(network, config)
    if size.residual * size.tokens <= config.residual_words:
        return [n for n in BLOCK_COUNTS if n <= size.groups]
    least = ceil_div(size.groups, max(1, config.residual_words // (size.residual * config.rows)))
    return list(range(least, size.groups + 1))


def _paired(size: Sizes, config: Config) -> int:
    """Blocks so small that RESIDUAL holds two, or as small as they get."""
    most = config.residual_words // (2 * size.residual * config.rows)
    return ceil_div(size.groups, max(1, most))


def make_plan(network: Network, config: Config, blocks: int | None) -> Plan:
    """The plan with ``blocks`` token blocks; ``PotvitError`` names the buffer that lacks bytes.

    None streams the tokens through ACT in the largest blocks that fit.
    """
    size = sizes(network, config)
    groups = size.groups
    resident = size.residual * size.tokens <= config.residual_words
    streamed: Streamed | None = None
    if blocks is None:
        most = groups if resident else config.residual_words // (2 * size.residual * config.rows)
        streamed = plan_act(size, max(1, most), config)
        blocks = ceil_div(groups, streamed.groups)
    parts = adds = tuple(split(groups, blocks))
    if not resident and streamed is None:
        adds = tuple(split(groups, _paired(size, config)))
    x_words, room = size.x * groups, config.act_words - size.behind
    attention = (size.q + size.attn) * groups
    attn_resident = streamed is None and x_words + attention <= room
    visit = size.attn * max(part.groups for part in adds)
    if not attn_resident:  # the queries and the results of two heads; later two visits
        attention = max((size.q + 2 * size.q) * groups, 2 * visit)
    work = max(attention, size.patches * groups)
    whole = x_words + max(work, size.hidden * groups) <= room
    longest = max(part.groups for part in parts)
    work = max(work, size.hidden * (groups if whole else longest))
    ring = config.stream_words - size.key_tiles * size.key_stride
    value_sets = 2 if 2 * size.value <= config.value_words else 1
    norm_sets = min(max(1, config.norm_words // size.norm), 2 * len(network.blocks) + 1)
    slots = min(config.slots, config.logit_words // size.key_tiles, 2 * groups)
    held = max(min(part.groups * config.rows, size.tokens) for part in (*parts, *adds))
    held *= 2 if streamed else 1  # the projection of the next block runs between the MLP's layers
    out = min(ceil_div(network.classes, config.cols), config.out_words)
    needed = {
        Space.ACT: streamed.words if streamed else x_words + work + size.behind,
        Space.STREAM: config.stream_words - ring + size.tile,
        Space.VALUE: value_sets * size.value,
        Space.NORM: norm_sets * size.norm,
        Space.LOGIT: max(slots, 1) * size.key_tiles,
        Space.RESIDUAL: size.residual * (size.tokens if resident else held),
        Space.OUT: out,
    }
    for space, words in needed.items():
        if words > memories(config)[space].words:
            raise NoRoomError(space, words, config)
    return Plan(
        config=config,
        tokens=size.tokens,
        groups=groups,
        parts=parts,
        adds=adds,
        embeds=adds,
        resident=resident,
        whole_hidden=whole,
        x=Region(0, size.x),
        q=Region(0 if streamed else x_words, size.q),
        attn=Region(x_words + size.q * groups, size.attn),
        attn_resident=attn_resident,
        visits=(0, visit) if streamed else (x_words, x_words + visit),
        hidden=Region(streamed.hidden if streamed else x_words, size.hidden),
        patches=Region(x_words, size.patches),
        ring=ring,
        keys=ring,
        key_stride=size.key_stride,
        key_tiles=size.key_tiles,
        values=tuple(i * size.value for i in range(value_sets)),
        norms=tuple(i * size.norm for i in range(norm_sets)),
        slots=slots,
        residual_stride=size.residual,
        streamed=streamed,
        used={s.name: (words, memories(config)[s].words) for s, words in needed.items()},
    )
