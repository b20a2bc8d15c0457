"""How many windows the bands of each stage have, and how they follow one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hw.compiler.frontend.network import Block
from hw.compiler.plan.sizes import NoRoomError
from hw.compiler.windowed.band import VISITS, Band, Way, lay_out
from hw.compiler.windowed.network import WindowedNetwork, windows_of
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.isa.payload import Gather, Matmul
from hw.lib.numbers import ceil_div

#: Cycles a key for which a part's projection waits for the softmax, roughly.
SOFTMAX = 5


def plan_band(block: Block, config: Config, most: int | None, *, overlap: bool) -> Band:
    """The band of at most ``most`` windows that seems the fastest; ``NoRoomError`` for no window.

    Without ``overlap`` bands follow one after the other.
    """
    total = windows_of(block).count
    counts = [n for n in range(min(most or total, total), 0, -1) if total % n == 0]
    ways = [(Way.PLAIN, 1)]
    if overlap:
        ways = [(Way.OVERLAP, VISITS), (Way.PARTS, 2), (Way.PARTS, 1), *ways]
    found = []
    for turn, (way, places) in enumerate(ways):
        for count in counts:
            alone = count == total
            senseless = {Way.OVERLAP: alone, Way.PARTS: count == 1 or (alone and places > 1)}
            band = lay_out(block, count, config, way, places)
            fits = _fits(band.used, count * band.groups, band.tokens, config)
            if fits and not senseless.get(way, False):
                found.append((_guess(band, block, config), turn, band))
                break
    if not found:
        raise _no_room(band.used, config, f"windows of {band.size} tokens")
    return min(found, key=lambda guess: guess[:2])[2]


def _guess(band: Band, block: Block, config: Config) -> int:
    """Cycles of a block, roughly, that differ from band to band.

    They are those of the MLP's row groups, and those in which the array stands still: for the
    softmax of the last row groups of a part, and while tokens are on their way home, in, or through
    LayerNorm.
    """
    windows = windows_of(block).count
    wide = 2 * block.fc1.weight.shape[0] * block.proj.weight.shape[0]
    tiles = (band.hidden + band.x) * config.tile_act_granules
    group = max(wide // (config.cols * config.lanes), tiles * config.rows)
    bands = windows // band.windows
    mlp = bands * sum(count for _, count in band.pieces) * group
    softmax = windows // band.part * SOFTMAX * band.size
    alone = band.part * band.size * band.residual * (2 + config.cols // config.lanes)
    if band.part < band.windows:
        alone += band.size * band.residual
    elif not band.overlaps:
        alone *= 2
    return mlp + softmax + alone * (1 if band.overlaps or band.places > 1 else bands)


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
