"""How many windows a band has, and where the tensors of a band lie in ACT, STREAM and VALUE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hw.compiler.frontend.network import Block
from hw.compiler.plan.sizes import NoRoomError
from hw.compiler.windowed.network import WindowedNetwork, windows_of
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.isa.payload import Gather, Matmul
from hw.lib.numbers import ceil_div, round_up


@dataclass(frozen=True, kw_only=True)
class Band:
    """A band of ``windows`` windows of ``size`` tokens, all bands of a block alike.

    Words in ACT of a row group: ``x`` LayerNorm outputs, ``q`` one head, ``hidden``. A window
    begins with a row group and has ``groups`` of them in LN1's outputs, the queries (from word
    ``q_at``) and attention's results (from ``attn_at``, ``heads`` heads of ``q`` words a group);
    LN2's outputs and the hidden layer (from ``q_at``) are dense. Bands take turns at ``firsts``,
    LN1's outputs, and ``seconds``, LN2's: with two places of each they overlap (`BlockLowering`).
    A token has ``residual`` words in RESIDUAL. Keys of window ``w`` are ``key_tiles`` tiles of
    ``key_stride`` words of STREAM,
    values ``value`` words of VALUE.
    """

    windows: int
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
    used: dict[Space, int]

    @property
    def tokens(self) -> int:
        """Tokens of a band, padded ones included."""
        return self.windows * self.size

    @property
    def overlaps(self) -> bool:
        """Whether a band's MLP follows the attention of the next band."""
        return len(self.firsts) > 1

    @property
    def keys(self) -> int:
        """Words of STREAM that the keys of a head take."""
        return self.windows * self.key_tiles * self.key_stride


#: Bands that are in RESIDUAL together where they overlap.
VISITS = 3


def _band(block: Block, count: int, config: Config, *, overlap: bool) -> Band:
    size, rows = windows_of(block).size, config.rows
    groups, dense = ceil_div(size, rows), ceil_div(count * size, rows)
    heads, channels = block.scores.heads, block.proj.weight.shape[0]
    dim = channels // heads
    padded = round_up(dim, config.act_bytes)
    x, q = ceil_div(channels, config.act_bytes), padded // config.act_bytes
    hidden = ceil_div(block.fc1.weight.shape[0], config.act_bytes)
    first, second = count * groups * x, dense * x
    firsts = (0, first) if overlap else (0,)
    second_at = 2 * first if overlap else 0
    seconds = (second_at, second_at + second) if overlap else (0,)
    q_at = second_at + 2 * second if overlap else max(first, second)
    attn_at = q_at + count * groups * q
    key_tiles, key_stride = ceil_div(size, config.cols), padded // config.lanes
    value, residual = round_up(size, config.keys_per_cycle), x * config.tile_act_granules
    return Band(
        windows=count, size=size, groups=groups, heads=heads, dim=dim, padded=padded, x=x, q=q,
        hidden=hidden, residual=residual, key_tiles=key_tiles, key_stride=key_stride, value=value,
        firsts=firsts, seconds=seconds, q_at=q_at, attn_at=attn_at,
        used={
            Space.ACT: 1 + max(attn_at + count * groups * heads * q, q_at + dense * hidden),
            Space.STREAM: 2 * count * key_tiles * key_stride,
            Space.VALUE: count * value,
            Space.RESIDUAL: (VISITS if overlap else 1) * count * size * residual,
            Space.LOGIT: key_tiles,
            Space.STATISTICS: count * groups * rows,
        },
    )  # fmt: skip


def plan_band(block: Block, config: Config, most: int | None, *, overlap: bool) -> Band:
    """The longest band of at most ``most`` windows that fits; ``NoRoomError`` for no window.

    With ``overlap`` bands that overlap, if there is room for such and more than one.
    """
    total = windows_of(block).count
    counts = [n for n in range(min(most or total, total), 0, -1) if total % n == 0]
    for together in (True, False) if overlap else (False,):
        for count in counts:
            band = _band(block, count, config, overlap=together)
            fits = _fits(band.used, count * band.groups, band.tokens, config)
            if fits and not (together and count == total):
                return band
    raise _no_room(band.used, config, f"windows of {band.size} tokens")


def _fits(used: dict[Space, int], groups: int, tokens: int, config: Config) -> bool:
    """Whether memories have ``used`` words, and instructions can count row groups and tokens."""
    have = memories(config)
    counted = groups < 1 << Matmul.width("groups") and tokens < 1 << Gather.width("runs")
    return counted and all(words <= have[space].words for space, words in used.items())


def _no_room(used: dict[Space, int], config: Config, what: str) -> NoRoomError:
    """The refusal of ``what``: of the memory that it fills most."""
    have = memories(config)
    space, words = max(used.items(), key=lambda n: n[1] / have[n[0]].words)
    return NoRoomError(space, words, config, f" for {what}")


def rows_at_a_time(
    total: int,
    width: int,
    needs: Callable[[int], dict[Space, int]],
    config: Config,
    what: str,
    must: bool = True,
) -> int:
    """The most of ``total`` rows of ``width`` tokens for which ``needs(rows)`` words are there.

    Where there is no room for one row: `NoRoomError` that names ``what``, or 0 unless one ``must``.
    """
    found = 0
    for rows in range(1, total + 1):
        tokens = rows * width
        if not _fits(needs(rows), ceil_div(tokens, config.rows), tokens, config):
            break
        found = rows
    if must and not found:
        raise _no_room(needs(1), config, f"one row of {what}")
    return found


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """The bands of every stage; ``ring`` words of STREAM hold weights, keys follow them.

    ``slots`` row groups of logits of ``key_tiles`` words each wait for attention.
    """

    config: Config
    bands: tuple[Band | None, ...]
    ring: int
    slots: int
    key_tiles: int

    @property
    def idle(self) -> int:
        """The word of ACT that nobody writes: what products with zero weights read."""
        return self.config.act_words - 1


def plan_windows(
    network: WindowedNetwork, config: Config, most: int | None, *, overlap: bool
) -> WindowPlan:
    """Bands of at most ``most`` windows for every stage, which ``overlap`` where they can."""
    bands = tuple(
        plan_band(stage.blocks[0], config, most, overlap=overlap) if stage.blocks else None
        for stage in network.stages
    )
    key_tiles = max((b.key_tiles for b in bands if b), default=1)
    tokens = network.stages[-1].tokens
    key_tiles = max(key_tiles, ceil_div(tokens, config.cols))
    slots = min(config.slots, config.logit_words // key_tiles)
    if not slots:
        raise NoRoomError(Space.LOGIT, key_tiles, config)
    ring = config.stream_words - max((b.keys for b in bands if b), default=0)
    return WindowPlan(config=config, bands=bands, ring=ring, slots=slots, key_tiles=key_tiles)
