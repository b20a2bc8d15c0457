"""Patch embedding and the LayerNorm whose output is the residual stream, row of patches by row."""

from __future__ import annotations

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


class PatchLowering:
    """Lowers the patch embedding of the picture at ``picture`` of its region.

    Sums go to RESIDUAL, where zeros lie; LayerNorm writes ACT. Its words leave as ACT has them
    ([word][row][2K]) and come back into RESIDUAL a row group at a time, so that the stream begins
    like every other.
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
        last = None
        most = rows_at_a_time(self.down, self.across, self._needs, self.config, "patches")
        self.emitter.use_act(self._needs(most)[Space.ACT])
        for first in range(0, self.down, most):
            count = min(most, self.down - first)
            last = self._lower_rows(first, count)
        return last

    def _needs(self, rows: int) -> dict[Space, int]:
        """Words that so many rows of patches take."""
        groups = ceil_div(rows * self.across, self.config.rows)
        return {
            Space.ACT: 1 + groups * (self.inputs + self.x),
            Space.RESIDUAL: groups * self.config.rows * self.stride,
            Space.STATISTICS: rows * self.across,
        }

    def _lower_rows(self, first: int, count: int) -> Step | None:
        emitter, config, network = self.emitter, self.config, self.network
        tokens = count * self.across
        groups = ceil_div(tokens, config.rows)
        words = groups * config.rows * self.stride
        at = emitter.residuals.take(words)
        zeros = emitter.mover.clear(at, self.stride, tokens, self.stride)
        brought = [self._band(first + row, row) for row in range(count)]
        target = Residual(base=at, stride=self.stride)
        emitter.sweep(self.tiles, [((0, self.inputs), tokens, target)], needs=[zeros, *brought])
        line = Lines(source=first * self.across, length=tokens)
        emitter.keep_stream(network.embed.output, self.home, at, self.stride, [line])
        made = groups * self.inputs
        norm = network.embed_norm
        emitter.normalise(norm, self.channels, at, self.stride, 0, tokens, (made, self.x))
        back = self._turn_round(made, at, groups)
        emitter.keep_stream(norm.output, self.home, at, self.stride, [line], back)
        return emitter.mover.leave(self.home, at, self.stride, [line], back)

    def _band(self, band: int, row: int) -> Demand:
        """Load one row of patches as row ``row`` of the band's tokens."""
        config, words = self.config, ceil_div(self.segment, self.config.act_bytes)
        group, bank = divmod(row * self.across, config.rows)
        size = self.patch * self.row_bytes
        body = Gather(
            mem=Mem.ACT, flip=True, addr=group * self.inputs, stride=self.inputs, bank=bank,
            line_addr=words, seg_bytes=self.segment, segs=self.across, rows=self.patch, runs=1,
            beats=size // config.axi_bytes, dram=self.picture + band * size,
        )  # fmt: skip
        end = (group + ceil_div(bank + self.across, config.rows)) * self.inputs
        user = self.emitter.last_user(Space.ACT, group * self.inputs, end)
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
