"""Where every tensor lives on chip: one static plan per network, configuration and block count."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from golden.support.errors import PotvitError
from hw.compiler.frontend.network import Network
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.lib.numbers import ceil_div, round_up


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
    weights, the keys of one head follow at ``keys``.
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
    used: dict[str, tuple[int, int]]

    def rows_last(self, part: Part) -> int:
        """Real rows of the last group of ``part``."""
        return min(self.config.rows, self.tokens - (part.end - 1) * self.config.rows)

    def token_range(self, part: Part) -> tuple[int, int]:
        """First token and token count of ``part``."""
        first = part.first * self.config.rows
        return first, min(self.tokens, part.end * self.config.rows) - first


def _need(space: Space, used: dict[str, tuple[int, int]], config: Config) -> None:
    words, have = used[space.name]
    if words > have:
        size = memories(config)[space].bytes_
        raise PotvitError(
            f"buffer {space.name} of configuration {config.name!r} lacks "
            f"{(words - have) * size} bytes ({words} words of {size} bytes needed, "
            f"{have} there): "
            f"raise {space.name.lower()}_words or take a smaller model"
        )


def head_dims(network: Network, config: Config) -> list[tuple[int, int, int]]:
    """Heads, head dimension and padded head dimension of every block."""
    dims = []
    for block in network.blocks:
        heads = block.scores.heads
        dim = block.q.weight.shape[0] // heads
        dims.append((heads, dim, round_up(dim, config.act_bytes)))
    return dims


#: Numbers of token blocks that the cost model compares for a network that lives on chip.
BLOCK_COUNTS = (1, 2, 3, 4, 6)


def residual_stride(network: Network, config: Config) -> int:
    """Words of RESIDUAL that a token takes."""
    return round_up(network.channels, config.act_bytes) // config.cols


def block_counts(network: Network, config: Config) -> list[int]:
    """Numbers of token blocks worth comparing, the fewest first."""
    groups = ceil_div(network.tokens, config.rows)
    stride = residual_stride(network, config)
    if stride * network.tokens <= config.residual_words:
        return [n for n in BLOCK_COUNTS if n <= groups]
    least = ceil_div(groups, max(1, config.residual_words // (stride * config.rows)))
    return list(range(least, groups + 1))


def _paired(groups: int, stride: int, config: Config) -> int:
    """Blocks so small that RESIDUAL holds two, or as small as they get."""
    most = config.residual_words // (2 * stride * config.rows)
    return ceil_div(groups, max(1, most))


def make_plan(network: Network, config: Config, blocks: int) -> Plan:
    """The plan with ``blocks`` token blocks; ``PotvitError`` names the buffer that lacks bytes."""
    tokens = network.tokens
    groups = ceil_div(tokens, config.rows)
    parts = tuple(split(groups, blocks))
    width = config.act_bytes
    x_stride = ceil_div(network.channels, width)
    dims = head_dims(network, config)
    q_stride = max((padded // width for _, _, padded in dims), default=0)
    attn_stride = max((heads * padded // width for heads, _, padded in dims), default=0)
    stride = residual_stride(network, config)
    resident = stride * tokens <= config.residual_words
    adds = parts if resident else tuple(split(groups, _paired(groups, stride, config)))
    hidden_stride = max((ceil_div(b.fc1.weight.shape[0], width) for b in network.blocks), default=0)
    patch_stride = ceil_div(network.patch.weight.shape[1], width)
    x_words = x_stride * groups
    attn_resident = x_words + (q_stride + attn_stride) * groups <= config.act_words
    visit = attn_stride * max(part.groups for part in adds)
    attention = (q_stride + attn_stride) * groups
    if not attn_resident:  # the queries and the results of two heads; later two visits
        attention = max((q_stride + 2 * q_stride) * groups, 2 * visit)
    work = max(attention, patch_stride * groups)
    whole = x_words + max(work, hidden_stride * groups) <= config.act_words
    longest = max(part.groups for part in parts)
    work = max(work, hidden_stride * (groups if whole else longest))
    used = {"ACT": (x_words + work, config.act_words)}
    _need(Space.ACT, used, config)

    key_tiles = ceil_div(tokens, config.cols)
    key_stride = max((padded // config.lanes for _, _, padded in dims), default=0)
    ring = config.stream_words - key_tiles * key_stride
    used["STREAM"] = (key_tiles * key_stride + largest_tile(network, config), config.stream_words)
    _need(Space.STREAM, used, config)

    value_words = round_up(tokens, config.keys_per_cycle)
    value_sets = 2 if 2 * value_words <= config.value_words else 1
    used["VALUE"] = (value_sets * value_words, config.value_words)
    _need(Space.VALUE, used, config)

    steps = round_up(network.channels, width) // config.lanes
    norm_sets = min(max(1, config.norm_words // steps), 2 * len(network.blocks) + 1)
    used["NORM"] = (norm_sets * steps, config.norm_words)
    _need(Space.NORM, used, config)

    slots = min(config.slots, config.logit_words // key_tiles, 2 * groups)
    used["LOGIT"] = (max(slots, 1) * key_tiles, config.logit_words)
    _need(Space.LOGIT, used, config)

    block = max(min(part.groups * config.rows, tokens) for part in (*parts, *adds))
    used["RESIDUAL"] = (stride * (tokens if resident else block), config.residual_words)
    _need(Space.RESIDUAL, used, config)
    out = ceil_div(network.classes, config.cols)
    used["OUT"] = (min(out, config.out_words), config.out_words)
    return Plan(
        config=config,
        tokens=tokens,
        groups=groups,
        parts=parts,
        adds=adds,
        embeds=adds,
        resident=resident,
        whole_hidden=whole,
        x=Region(0, x_stride),
        q=Region(x_words, q_stride),
        attn=Region(x_words + q_stride * groups, attn_stride),
        attn_resident=attn_resident,
        visits=(x_words, x_words + visit),
        hidden=Region(x_words, hidden_stride),
        patches=Region(x_words, patch_stride),
        ring=ring,
        keys=ring,
        key_stride=key_stride,
        key_tiles=key_tiles,
        values=tuple(i * value_words for i in range(value_sets)),
        norms=tuple(i * steps for i in range(norm_sets)),
        slots=slots,
        residual_stride=stride,
        used=used,
    )


def largest_tile(network: Network, config: Config) -> int:
    """Stream words of the largest weight tile."""
    linears = [(network.patch.weight.shape[1], network.patch.bits)]
    if network.head:
        linears.append((network.head.weight.shape[1], network.head.bits))
    for (heads, _, padded), block in zip(head_dims(network, config), network.blocks, strict=True):
        linears.append((heads * padded, block.proj.bits))
        for node in (block.q, block.k, block.v, block.fc1, block.fc2):
            linears.append((node.weight.shape[1], node.bits))
    beats = max(1, config.axi_bytes // config.stream_bytes)
    words = [
        config.param_words + ceil_div(inputs, config.lanes * (2 if bits == 4 else 1))
        for inputs, bits in linears
    ]
    return round_up(max(words), beats)
