"""The MLP of one block: fc1, GELU, fc2, in token blocks."""

from __future__ import annotations

from hw.compiler.frontend.network import Block
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import Tiles
from hw.compiler.lower.emitter import Emitter
from hw.compiler.lower.norm import NormLowering
from hw.compiler.lower.weights import added_tiles, requantized_tiles
from hw.compiler.plan.allocate import Part, Region
from hw.isa.payload import Matmul, Mem
from hw.lib.numbers import ceil_div


class MlpLowering:
    """Lowers the MLP of one block."""

    def __init__(self, block: Block, emitter: Emitter, outputs: Outputs) -> None:
        self.block = block
        self.emitter, self.outputs, self.plan = emitter, outputs, emitter.plan

    def load_table(self) -> None:
        """Ask for this block's GELU table: one copy, so the last fc1 must be through."""
        emitter = self.emitter
        table = self.block.gelu.table.astype("int8").tobytes()
        previous = next(
            (s for s in reversed(emitter.main) if isinstance(s.body, Matmul) and s.body.gelu), None
        )
        self.gelu = emitter.demand(Mem.GELU, 256, emitter.dram.add(table), after=previous)

    def lower(self, after: NormLowering) -> None:
        """fc1, GELU, fc2 and the LayerNorm ``after`` them."""
        plan, hidden = self.plan, self.plan.hidden
        width = self.emitter.config.act_bytes
        stride = ceil_div(self.block.fc1.weight.shape[0], width)
        after.load()
        fc1 = requantized_tiles(self.emitter, self.block.fc1)
        node = self.block.fc2
        fc2 = added_tiles(self.emitter, node, node.weight, self.block.res2, after.node.alpha)
        if plan.whole_hidden:
            region = Region(hidden.base, stride)
            for part in plan.parts:
                self._fc1(fc1, region, part)
            for part in plan.parts:
                self._fc2(fc2, region, part, after)
            return
        for part in plan.parts:
            region = Region(hidden.base - part.first * stride, stride)
            self._fc1(fc1, region, part)
            self._fc2(fc2, region, part, after)

    def _fc1(self, tiles: Tiles, region: Region, part: Part) -> None:
        self.emitter.begin_layer(f"{self.block.name}.fc1")
        target = self.emitter.act_target(region)
        for step in self.emitter.sweep(tiles, self.plan.x, part, target, gelu=True):
            step.needs.append(self.gelu)
        self.outputs.act(self.block.gelu.output, region, part)

    def _fc2(self, tiles: Tiles, region: Region, part: Part, after: NormLowering) -> None:
        stream = self.emitter.stream
        self.emitter.begin_layer(f"{self.block.name}.fc2")
        stream.enter(part, self.plan.parts)
        self.emitter.sweep(tiles, region, part, stream.target())
        self.outputs.residual(self.block.res2.output, part)
        after.run(part)
        stream.leave(part, kept=not after.last)
