"""LayerNorms: parameters loaded early, run token block by token block."""

from __future__ import annotations

from dataclasses import dataclass

from golden.graph import ir
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import norm_words
from hw.compiler.lower.emitter import Emitter
from hw.compiler.plan.allocate import Part, Region
from hw.compiler.step import Demand


@dataclass(kw_only=True)
class NormLowering:
    """LayerNorm number ``index`` of the network: parameters loaded early, run per token block.

    After the ``last`` one nobody reads the residual stream again.
    """

    node: ir.LayerNorm
    index: int
    channels: int
    emitter: Emitter
    outputs: Outputs
    last: bool = False
    params: tuple[Demand, int] | None = None
    offset: int | None = None

    def load(self) -> None:
        """Ask for the parameters at this place of the load order."""
        if self.offset is None:
            self.offset = self.emitter.dram.add(norm_words(self.node, self.emitter.config))
        self.params = self.emitter.norm_params(self.offset, self.index)

    def run(self, part: Part, to: Region | None = None) -> None:
        """Normalise the tokens of one block into region ``to``, the x region unless given."""
        assert self.params is not None
        first, count = self.emitter.plan.token_range(part)
        to = to or self.emitter.plan.x
        self.emitter.norm(self.params, self.channels, self.node, first, count, to)
        self.outputs.act(self.node.output, to, part)


@dataclass(kw_only=True)
class FinalNormLowering(NormLowering):
    """The LayerNorm behind ``select``: one token, as soon as its block is through."""

    token: int
    #: The row group whose first row is the selected token, once it is there.
    at: Region | None = None

    def run(self, part: Part, to: Region | None = None) -> None:
        """Normalise the selected token if ``part`` holds it."""
        emitter, plan = self.emitter, self.emitter.plan
        first, count = plan.token_range(part)
        if not first <= self.token < first + count:
            return
        assert self.params is not None
        to = to or plan.x
        emitter.norm(self.params, self.channels, self.node, self.token, 1, to)
        self.at = Region(to.base + self.token // emitter.config.rows * to.stride, to.stride)
        self.outputs.act(self.node.output, self.at, Part(0, 1))
