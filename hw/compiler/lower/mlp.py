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
        #: Words of a row group of its hidden layer.
        self.stride = ceil_div(block.fc1.weight.shape[0], emitter.config.act_bytes)

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
        plan, hidden, stride = self.plan, self.plan.hidden, self.stride
        after.load()
        fc1, fc2 = self.tiles(after)
        if plan.whole_hidden:
            self.emitter.keep(fc1)
            self.emitter.keep(fc2)
            region = Region(hidden.base, stride)
            for part in plan.parts:
                self.fc1(fc1, plan.x, region, part)
            for part in plan.parts:
                self._fc2(fc2, region, part, after)
            return
        self.emitter.keep(fc1, fc2)
        for part in plan.parts:
            region = Region(hidden.base - part.first * stride, stride)
            self.fc1(fc1, plan.x, region, part)
            self._fc2(fc2, region, part, after)

    def tiles(self, after: NormLowering) -> tuple[Tiles, Tiles]:
        """The weights of fc1, and of fc2, whose sums LayerNorm ``after`` reads."""
        node = self.block.fc2
        fc1 = requantized_tiles(self.emitter, self.block.fc1)
        fc2 = added_tiles(self.emitter, node, node.weight, self.block.res2, after.node.alpha)
        return fc1, fc2

    def fc1(self, tiles: Tiles, source: Region, region: Region, part: Part) -> None:
        """fc1 of a token block from ``source`` to ``region``."""
        self.emitter.begin_layer(f"{self.block.name}.fc1")
        target = self.emitter.act_target(region)
        for step in self.emitter.sweep(tiles, source, part, target, gelu=True):
            step.needs.append(self.gelu)
        self.outputs.act(self.block.gelu.output, region, part)

    def fc2(self, tiles: Tiles, region: Region, part: Part) -> None:
        """fc2 of a token block that is at hand in the residual stream."""
        self.emitter.begin_layer(f"{self.block.name}.fc2")
        self.emitter.sweep(tiles, region, part, self.emitter.stream.target())
        self.outputs.residual(self.block.res2.output, part)

    def _fc2(self, tiles: Tiles, region: Region, part: Part, after: NormLowering) -> None:
        stream = self.emitter.stream
        self.emitter.begin_layer(f"{self.block.name}.fc2")
        stream.enter(part, self.plan.parts)
        self.fc2(tiles, region, part)
        after.run(part)
        stream.leave(part, kept=not after.last)
