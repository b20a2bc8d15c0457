"""Patch embedding in token blocks so small that each brings its own patches and all weights."""

from __future__ import annotations

from golden.support.errors import PotvitError
from hw.compiler.frontend.network import Network
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import constant_rows
from hw.compiler.lower.emitter import Emitter
from hw.compiler.lower.weights import patch_tiles
from hw.compiler.plan.allocate import Part, Region, split
from hw.compiler.step import Demand, Step
from hw.formats.memories import Space
from hw.isa.payload import Gather, Mem
from hw.lib.numbers import ceil_div
from hw.program.regions import Region as Area


class BlockEmbedLowering:
    """Lowers patch embedding of the picture at ``picture`` of its region, block by block."""

    def __init__(
        self, network: Network, emitter: Emitter, outputs: Outputs, picture: int = 0
    ) -> None:
        self.network, self.emitter, self.outputs = network, emitter, outputs
        self.config, self.plan, self._picture = emitter.config, emitter.plan, picture
        self.tiles = patch_tiles(emitter, network.patch, network.embed, network.first_norm)
        _, width, channels = network.image_shape
        self.patch = network.patch.patch
        self.across, self.row_bytes = width // self.patch, width * channels
        self.row_of_patch = self.patch * channels
        self._turn = 0

    def lower(self, part: Part) -> None:
        """Patches, then every weight tile with its position constants."""
        emitter, plan = self.emitter, self.plan
        assert plan.streamed is not None
        slot = plan.streamed.patches[self._turn % 2]
        self._turn += 1
        stride = plan.patches.stride
        region = Region(slot - part.first * stride, stride)
        user = emitter.last_user(Space.ACT, slot, slot + part.groups * stride)
        brought = [Demand(step=step, after=user) for step in self._gathers(part, region)]
        emitter.loads += brought
        most = max(1, self.config.const_rows // (2 * self.config.rows))
        for tile in range(self.tiles.count):
            demand = emitter.demand_tiles(self.tiles, tile, 1)
            for piece in split(part.groups, ceil_div(part.groups, most), part.first):
                self._matmul(tile, demand, region, piece, brought)
        self.outputs.residual(self.network.embed.output, part)

    def _matmul(
        self, tile: int, demand: Demand, region: Region, part: Part, brought: list[Demand]
    ) -> None:
        emitter = self.emitter
        first, count = self.plan.token_range(part)
        constant = self.network.embed.constant
        assert constant is not None
        step = emitter.matmul(
            self.tiles, demand, (tile, 1), region, part, emitter.stream.target(),
            const_old=True, zero_first=part.first == 0,
        )  # fmt: skip
        offset = emitter.dram.add(constant_rows(constant, self.config, tile, first, count))
        rows = emitter.demand(Mem.CONST, count, offset, consumer=step)
        step.needs += [rows, *brought]

    def _gathers(self, part: Part, region: Region) -> list[Step]:
        """The patches of a block: a run of image rows for every row of patches that it meets."""
        config = self.config
        first, count = self.plan.token_range(part)
        at, end = max(first - 1, 0), first + count - 1
        made = []
        while at < end:
            band, column = divmod(at, self.across)
            patches = min(end - at, self.across - column)
            dram = band * self.patch * self.row_bytes + column * self.row_of_patch
            if dram % config.axi_bytes or self.row_bytes % config.axi_bytes:
                raise PotvitError(
                    f"a block of tokens begins at byte {dram} of a picture whose rows have "
                    f"{self.row_bytes} bytes: one is no multiple of the bus, axi_bytes = "
                    f"{config.axi_bytes}"
                )
            token = at + 1
            body = Gather(
                mem=Mem.ACT,
                flip=True,
                addr=region.base + token // config.rows * region.stride,
                stride=region.stride,
                bank=token % config.rows,
                line_addr=ceil_div(self.row_of_patch, config.act_bytes),
                seg_bytes=self.row_of_patch,
                segs=patches,
                rows=1,
                runs=self.patch,
                beats=ceil_div(patches * self.row_of_patch, config.axi_bytes),
                pitch=self.row_bytes,
                dram=self._picture + dram,
            )
            made.append(self.emitter.make(body, region=Area.PICTURE))
            at += patches
        return made
