"""Patch embedding and the LayerNorm whose output is the residual stream, row of patches by row."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial

from hw.compiler.lower.weights import patch_tiles
from hw.compiler.step import Demand, Step
from hw.compiler.windowed.emitter import WindowEmitter
from hw.compiler.windowed.network import WindowedNetwork
from hw.compiler.windowed.plan import rows_at_a_time
from hw.compiler.windowed.tokens import Lines
from hw.formats.memories import Space, memories
from hw.isa.payload import Gather, Mem, Store
from hw.lib.numbers import ceil_div, round_up
from hw.program.destination import Residual
from hw.program.regions import Region

#: Pieces under way together: one in LayerNorm, one on its way home, one on its way in.
TURNS = 3
#: Pieces that have sums: the one in LayerNorm and the one behind it.
SUMS = 2


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """Rows of patches: their words in RESIDUAL, LayerNorm's outputs in ACT, their line at home."""

    at: int
    made: int
    groups: int
    line: Lines


class PatchLowering:
    """Lowers the patch embedding of the picture at ``picture`` of its region.

    Sums go to RESIDUAL, where zeros lie; LayerNorm writes ACT. Its words leave as ACT has them
    ([word][row][2K]) and come back into RESIDUAL a row group at a time, so that the stream begins
    like every other. LayerNorm takes longest, so pieces of the picture follow one another closely.
    """

    def __init__(self, network: WindowedNetwork, emitter: WindowEmitter, picture: int) -> None:
        self.network, self.emitter, self.picture = network, emitter, picture
        self.config = config = emitter.config
        height, width, channels = network.image_shape
        self.patch = network.patch.patch
        self.across, self.down = width // self.patch, height // self.patch
        self.row_bytes, self.segment = width * channels, self.patch * channels
        self.channels = network.embed.shift.shape[0]
        self.tiles = patch_tiles(emitter, network.patch, network.embed, network.embed_norm)
        self.inputs = self.patch * ceil_div(self.segment, config.act_bytes)
        self.x = ceil_div(self.channels, config.act_bytes)
        self.stride = self.x * config.tile_act_granules
        self.home = emitter.stream_home(0, self.across * self.down, self.stride)

    def lower(self) -> Step | None:
        """All rows of patches; the last step that writes the stream."""
        self.emitter.begin_layer("patch_embed")
        most, turns = self._pieces()
        self.emitter.use_act(self._needs(most, turns)[Space.ACT])
        self.emitter.keep(self.tiles)
        last, waiting = None, deque[_Piece]()
        for turn, first in enumerate(range(0, self.down, most)):
            count = min(most, self.down - first)
            waiting.append(self._embed(first, count, turn % turns, most))
            if len(waiting) == turns:
                last = self._leave(waiting.popleft())
        for piece in waiting:
            last = self._leave(piece)
        return last

    def _pieces(self) -> tuple[int, int]:
        """Rows of patches at a time, and how many such pieces are under way together."""
        for turns in (TURNS, 1):
            most = rows_at_a_time(
                self.down, self.across, partial(self._needs, turns=turns), self.config, "patches",
                turns == 1,
            )  # fmt: skip
            if most:
                return most, turns
        raise AssertionError("one row of patches fits or is refused")

    def _needs(self, rows: int, turns: int) -> dict[Space, int]:
        """Words that ``turns`` pieces of so many rows of patches take."""
        groups = ceil_div(rows * self.across, self.config.rows)
        sums = 1 if turns == 1 else SUMS
        return {
            Space.ACT: 1 + turns * groups * (self.inputs + self.x),
            Space.RESIDUAL: turns * groups * self.config.rows * self.stride,
            Space.STATISTICS: sums * groups * self.config.rows,
        }

    def _embed(self, first: int, count: int, turn: int, most: int) -> _Piece:
        """Patches of ``count`` rows from ``first`` on through array and LayerNorm."""
        emitter, config, network = self.emitter, self.config, self.network
        tokens = count * self.across
        groups, room = (ceil_div(n * self.across, config.rows) for n in (count, most))
        at = emitter.residuals.take(groups * config.rows * self.stride)
        source = turn * room * (self.inputs + self.x)
        made = source + room * self.inputs
        token = turn % SUMS * room * config.rows
        zeros = emitter.mover.clear(at, self.stride, tokens, self.stride)
        brought = [self._band(first + row, row, source) for row in range(count)]
        target = Residual(base=at - token * self.stride, stride=self.stride)
        emitter.sweep(
            self.tiles, [((source, self.inputs), tokens, target)], token, [zeros, *brought]
        )
        line = Lines(source=first * self.across, length=tokens)
        emitter.keep_stream(network.embed.output, self.home, at, self.stride, [line])
        norm = network.embed_norm
        emitter.normalise(norm, self.channels, at, self.stride, token, tokens, (made, self.x))
        return _Piece(at=at, made=made, groups=groups, line=line)

    def _leave(self, piece: _Piece) -> Step | None:
        """Take a piece of the stream home."""
        emitter, at, lines = self.emitter, piece.at, [piece.line]
        back = self._turn_round(piece.made, at, piece.groups)
        name = self.network.embed_norm.output
        emitter.keep_stream(name, self.home, at, self.stride, lines, back)
        return emitter.mover.leave(self.home, at, self.stride, lines, back)

    def _band(self, band: int, row: int, source: int) -> Demand:
        """Load one row of patches as row ``row`` of the piece that begins at word ``source``."""
        config, words = self.config, ceil_div(self.segment, self.config.act_bytes)
        group, bank = divmod(row * self.across, config.rows)
        size = self.patch * self.row_bytes
        body = Gather(
            mem=Mem.ACT, flip=True, addr=source + group * self.inputs, stride=self.inputs,
            bank=bank,
            line_addr=words, seg_bytes=self.segment, segs=self.across, rows=self.patch, runs=1,
            beats=size // config.axi_bytes, dram=self.picture + band * size,
        )  # fmt: skip
        end = source + (group + ceil_div(bank + self.across, config.rows)) * self.inputs
        user = self.emitter.last_user(Space.ACT, source + group * self.inputs, end)
        return self.emitter.mover.demand(body, Region.PICTURE, user)

    def _turn_round(self, made: int, at: int, groups: int) -> list[Demand]:
        """Words of ACT from ``made`` to DRAM and back to tokens of RESIDUAL from word ``at``."""
        emitter, config = self.emitter, self.config
        size = memories(config)[Space.ACT].moved
        pitch = round_up(size, config.axi_bytes)
        place = emitter.shared_place("turned", (groups + 1) * self.x * pitch)
        store = emitter.add(
            Store(src=Mem.ACT, addr=made, words=groups * self.x, dram=place), region=Region.SPILL
        )
        packed = pitch == size
        brought = []
        for group in range(groups):
            body = Gather(
                mem=Mem.RESIDUAL, addr=at + group * config.rows * self.stride, stride=self.stride,
                line_addr=config.tile_act_granules, seg_bytes=config.act_bytes, segs=config.rows,
                rows=self.x if packed else 1, runs=1 if packed else self.x,
                beats=(self.x if packed else 1) * pitch // config.axi_bytes,
                pitch=0 if packed else pitch, dram=place + group * self.x * pitch,
            )  # fmt: skip
            brought.append(emitter.mover.demand(body, Region.SPILL, store))
        return brought
