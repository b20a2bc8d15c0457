"""The memory plan of a network whose tokens pass through ACT in small blocks, at home in DRAM."""

from __future__ import annotations

from dataclasses import dataclass

from hw.compiler.plan.sizes import NoRoomError, Sizes
from hw.config import Config
from hw.formats.memories import Space

#: Pieces of attention's results that may be on their way out.
RESULTS = 8


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """Words of ACT in the three phases of a streamed network; within a phase they do not overlap.

    Patch embedding: two blocks of ``patches``, two of LayerNorm outputs on their way ``outs``.
    Attention: the queries of one head and all tokens from word 0 on, two blocks of LayerNorm
    outputs coming in (``inputs``), pieces of results leaving (``results``). Projection and MLP: two
    blocks of results coming in from word 0 on, two of the second LayerNorm's outputs
    (``seconds``), the ``hidden`` layer of one block, and ``outs``.
    """

    groups: int
    patches: tuple[int, int]
    inputs: tuple[int, int]
    results: tuple[int, ...]
    seconds: tuple[int, int]
    hidden: int
    outs: tuple[int, int]
    words: int


def plan_act(size: Sizes, most: int, config: Config) -> Streamed:
    """The largest blocks, of at most ``most`` row groups, that ACT has room for.

    ``NoRoomError`` says what blocks of one row group lack.
    """
    for groups in range(min(most, size.groups), 0, -1):
        found = _place(size, groups, config)
        if found.words <= config.act_words:
            return found
    blocks = f" for blocks of {config.rows} tokens"
    raise NoRoomError(Space.ACT, found.words, config, blocks)


def _place(size: Sizes, groups: int, config: Config) -> Streamed:
    x, patches, attn = (groups * stride for stride in (size.x, size.patches, size.attn))
    queries = size.q * size.groups
    pieces = (config.act_words - size.behind - queries - 2 * x) // max(size.piece, 1)
    pieces = max(2, min(RESULTS, pieces))
    results = tuple(queries + 2 * x + i * size.piece for i in range(pieces))
    hidden = 2 * (attn + x)
    outs = max(hidden + groups * size.hidden, 2 * patches)
    return Streamed(
        groups=groups,
        patches=(0, patches),
        inputs=(queries, queries + x),
        results=results,
        seconds=(2 * attn, 2 * attn + x),
        hidden=hidden,
        outs=(outs, outs + x),
        words=max(results[-1] + size.piece, outs + 2 * x) + size.behind,
    )
