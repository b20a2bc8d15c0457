"""Patch embedding: image bands, weight tiles and position constants share the bus.

The array starts as soon as one row group and one weight tile are there. In the first token block
bands and tiles alternate so that the product of what both have brought, the work at hand, grows
fastest (a staircase); later blocks find everything loaded, or stream the weights again.
"""

from __future__ import annotations

from hw.compiler.allocate import Part
from hw.compiler.checkpoints import Outputs
from hw.compiler.emitter import Emitter
from hw.compiler.layout import Tiles, add_tiles, constant_rows, load_beats, parameters
from hw.compiler.network import Network
from hw.compiler.step import Demand, Step
from hw.isa import Mem, Op


class EmbedLowering:
    """Lowers patch embedding; ``norm`` is called behind every finished token block."""

    def __init__(self, network: Network, emitter: Emitter, outputs: Outputs) -> None:
        self.network = network
        self.emitter = emitter
        self.outputs = outputs
        config = emitter.config
        first_norm = network.blocks[0].ln1 if network.blocks else network.norm
        embed = network.embed
        params = parameters(
            config,
            network.channels,
            shift=embed.shift,
            la=embed.la,
            lo=embed.lo,
            alpha=first_norm.alpha,
            name=embed.name,
        )
        patch = network.patch
        self.tiles: Tiles = add_tiles(emitter.dram, config, patch.weight, patch.bits, params)
        self.bands: list[Demand] = []
        self.loaded: dict[int, Demand] = {}

    def lower(self, part: Part) -> None:
        """Emit one token block."""
        plan = self.emitter.plan
        resident = self.tiles.count * self.tiles.pitch <= plan.ring * 3 // 4
        if not resident:
            self.loaded = {}
        if part.first == 0:
            self._staircase(part)
        else:
            self._load_bands(part)
            for tile in range(self.tiles.count):
                self._matmul(tile, part)
        for name in (self.network.embed.output,):
            self.outputs.residual(name, part)

    def _groups_ready(self) -> int:
        """Row groups whose patches the bands so far have brought."""
        plan, width = self.emitter.plan, self._grid()[1]
        tokens = 1 + len(self.bands) * width
        return plan.groups if tokens >= plan.tokens else tokens // self.emitter.config.rows

    def _grid(self) -> tuple[int, int]:
        height, width, _ = self.network.image_shape
        return height // self.network.patch.patch, width // self.network.patch.patch

    def _staircase(self, part: Part) -> None:
        plan, tiles = self.emitter.plan, self.tiles
        limit = max(1, plan.ring * 3 // 4 // tiles.pitch)
        groups = count = 0
        band_time = tile_time = 0
        while groups < part.end or count < tiles.count:
            more_tiles = count < tiles.count and (groups == part.end or count < limit)
            if more_tiles and groups and (tile_time <= band_time or groups == part.end):
                self._tile(count)
                tile_time += load_beats(
                    tiles.pitch, self.emitter.config.stream_bytes, self.emitter.config
                )
                self._matmul(count, Part(0, groups))
                count += 1
            else:
                band_time += self._load_band()
                ready = min(self._groups_ready(), part.end)
                if ready > groups:
                    for tile in range(count):
                        self._matmul(tile, Part(groups, ready - groups))
                    groups = ready

    def _load_bands(self, part: Part) -> None:
        while self._groups_ready() < part.end:
            self._load_band()

    def _load_band(self) -> int:
        """The next row of patches; returns the cycles its load takes."""
        emitter, config, plan = self.emitter, self.emitter.config, self.emitter.plan
        patch = self.network.patch.patch
        _, width, channels = self.network.image_shape
        _, patches = self._grid()
        band = len(self.bands)
        size = patch * width * channels
        first = 1 + band * patches
        group = first // config.rows
        last = (first + patches - 1) // config.rows
        fields = {
            "addr": plan.patches.base + group * plan.patches.stride,
            "stride": plan.patches.stride,
            "beats": size // config.axi_bytes,
            "dram": band * size,
            "seg_words": patch * channels // config.act_bytes,
            "patches": patches,
            "rows": patch,
            "bank": first % config.rows,
        }
        step = Step(
            op=Op.PATCH,
            layer=0,
            fields=fields,
            writes=[plan.patches.access(group, last - group + 1)],
        )
        self.bands.append(Demand(step=step))
        emitter.loads.append(self.bands[-1])
        return size // min(config.axi_bytes, config.act_bytes)

    def _tile(self, tile: int) -> Demand:
        if tile not in self.loaded:
            self.loaded[tile] = self.emitter.demand_tiles(self.tiles, tile, 1)
        return self.loaded[tile]

    def _matmul(self, tile: int, part: Part) -> None:
        emitter, plan, config = self.emitter, self.emitter.plan, self.emitter.config
        demand = self._tile(tile)
        first, count = plan.token_range(part)
        constant = self.network.embed.constant
        assert constant is not None
        data = constant_rows(constant, config, tile, first, count)
        step = emitter.matmul(
            self.tiles,
            demand,
            (tile, 1),
            plan.patches,
            part,
            emitter.residual_target(),
            const_old=1,
            zero_first=int(part.first == 0),
        )
        rows = emitter.demand(
            Mem.CONST, count, config.const_bytes, emitter.dram.add(data), consumer=step
        )
        step.needs += [rows, *self.bands[: self._bands_for(part)]]
        step.rows = count

    def _bands_for(self, part: Part) -> int:
        """How many bands bring the patches of ``part``."""
        first, count = self.emitter.plan.token_range(part)
        return -(-max(0, first + count - 1) // self._grid()[1])
