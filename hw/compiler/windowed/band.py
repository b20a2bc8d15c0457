"""A band of windows: where its tensors lie in ACT, STREAM and VALUE, and what they take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from hw.compiler.frontend.network import Block
from hw.compiler.windowed.network import windows_of
from hw.config import Config
from hw.formats.memories import Space
from hw.lib.numbers import ceil_div, round_up


class Way(Enum):
    """How bands follow one another: see `BlockLowering`."""

    OVERLAP = "that overlap"
    PARTS = "attended one by one"
    PLAIN = ""


@dataclass(frozen=True, kw_only=True)
class Band:
    """A band of ``windows`` windows of ``size`` tokens, all bands of a block alike.

    Attention takes ``part`` windows of it at a time, the MLP the row groups of ``pieces`` (first,
    count). ``places`` bands are in RESIDUAL together (`BlockLowering`).

    Words in ACT of a row group: ``x`` LayerNorm outputs, ``q`` one head, ``hidden``. A window
    begins with a row group and has ``groups`` of them in LN1's outputs, the queries (from word
    ``q_at``) and attention's results (from ``attn_at``, ``heads`` heads of ``q`` words a group);
    LN2's outputs and the hidden layer (from ``hidden_at``) are dense. Parts take turns at
    ``firsts``, LN1's outputs, bands at ``seconds``, LN2's. The sums that LN1 reads are those of
    tokens from number ``sums`` on, LN2's from 0 on. A token has ``residual`` words in RESIDUAL.
    Keys of window ``w`` are ``key_tiles`` tiles of ``key_stride`` words of STREAM, values ``value``
    words of VALUE.
    """

    windows: int
    way: Way
    part: int
    places: int
    pieces: tuple[tuple[int, int], ...]
    size: int
    groups: int
    heads: int
    dim: int
    padded: int
    x: int
    q: int
    hidden: int
    residual: int
    key_tiles: int
    key_stride: int
    value: int
    firsts: tuple[int, ...]
    seconds: tuple[int, ...]
    q_at: int
    attn_at: int
    hidden_at: int
    sums: int
    used: dict[Space, int]

    @property
    def tokens(self) -> int:
        """Tokens of a band, padded ones included."""
        return self.windows * self.size

    @property
    def overlaps(self) -> bool:
        """Whether a band's MLP follows the attention of the next band."""
        return self.way is Way.OVERLAP

    @property
    def attended(self) -> Band:
        """What attention takes at a time, as a band of its own."""
        return replace(self, windows=self.part)

    @property
    def keys(self) -> int:
        """Words of STREAM that the keys of a head take."""
        return self.part * self.key_tiles * self.key_stride


#: Bands that are in RESIDUAL together where they overlap.
VISITS = 3


def lay_out(block: Block, count: int, config: Config, way: Way, places: int) -> Band:
    """The band of ``count`` windows of a block, ``places`` of them in RESIDUAL together."""
    size, rows = windows_of(block).size, config.rows
    part = 1 if way is Way.PARTS else count
    groups, dense = ceil_div(size, rows), ceil_div(count * size, rows)
    heads, channels = block.scores.heads, block.proj.weight.shape[0]
    dim = channels // heads
    padded = round_up(dim, config.act_bytes)
    x, q = ceil_div(channels, config.act_bytes), padded // config.act_bytes
    hidden = ceil_div(block.fc1.weight.shape[0], config.act_bytes)
    first, second = part * groups * x, dense * x
    pieces: tuple[tuple[int, int], ...] = ((0, dense),)
    if way is Way.OVERLAP:
        firsts: tuple[int, ...] = (0, first)
        seconds: tuple[int, ...] = (2 * first, 2 * first + second)
        hidden_at = q_at = 2 * (first + second)
    elif way is Way.PARTS:
        firsts, seconds = (second, second + first), (0,)
        q_at = second + 2 * first
        # With no other band there, no LN1 runs beside the MLP.
        hidden_at = q_at if places > 1 else second
        early = (count - 1) * size // rows
        pieces = ((0, early), (early, dense - early)) if early else pieces
    else:
        firsts, seconds = (0,), (0,)
        hidden_at = q_at = max(first, second)
    attn_at = q_at + part * groups * q
    key_tiles, key_stride = ceil_div(size, config.cols), padded // config.lanes
    value, residual = round_up(size, config.keys_per_cycle), x * config.tile_act_granules
    sums = dense * rows if way is Way.PARTS else 0
    return Band(
        windows=count, way=way, part=part, places=places, pieces=pieces, size=size, groups=groups,
        heads=heads, dim=dim, padded=padded, x=x, q=q, hidden=hidden, residual=residual,
        key_tiles=key_tiles, key_stride=key_stride, value=value, firsts=firsts, seconds=seconds,
        q_at=q_at, attn_at=attn_at, hidden_at=hidden_at, sums=sums,
        used={
            Space.ACT: 1 + max(
                attn_at + part * groups * heads * q,
                hidden_at + max(n for _, n in pieces) * hidden,
            ),
            Space.STREAM: 2 * part * key_tiles * key_stride,
            Space.VALUE: part * value,
            Space.RESIDUAL: places * count * size * residual,
            Space.LOGIT: key_tiles,
            Space.STATISTICS: sums + part * groups * rows,
        },
    )  # fmt: skip
