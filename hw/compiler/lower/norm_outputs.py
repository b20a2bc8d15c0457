"""The outputs of the LayerNorms that attention reads: in ACT, or in DRAM block by block."""

from __future__ import annotations

from hw.compiler.lower.act_home import ActHome
from hw.compiler.lower.emitter import Emitter
from hw.compiler.plan.allocate import Part, Region
from hw.compiler.step import Demand

SLOTS = 2


class NormOutputs:
    """Token blocks of LayerNorm outputs at their home; ``target`` is where NORM writes one.

    With all of them in ACT nothing moves. Else a block goes to DRAM with ``leave`` and comes back,
    as often as a kernel wants it, with ``bring``.
    """

    def __init__(self, emitter: Emitter) -> None:
        self.emitter, self.plan = emitter, emitter.plan
        self._made = self._visits = 0
        if self.plan.streamed is not None:
            self._home = ActHome(emitter, "norms", self.plan.groups * self.plan.x.stride)

    def target(self, part: Part) -> Region:
        """Where the LayerNorm of ``part`` writes."""
        if self.plan.streamed is None:
            return self.plan.x
        base = self.plan.streamed.outs[self._made % SLOTS]
        self._made += 1
        return self._shifted(base, part)

    def leave(self, part: Part, region: Region) -> None:
        """Take what NORM has written to ``region`` home."""
        if self.plan.streamed is not None:
            first = part.first * region.stride
            self._home.out(region.base + first, first, part.groups * region.stride)

    def bring(self, part: Part) -> tuple[Region, Demand | None]:
        """Where a kernel reads ``part``, and the load that its first step needs."""
        if self.plan.streamed is None:
            return self.plan.x, None
        base = self.plan.streamed.inputs[self._visits % SLOTS]
        self._visits += 1
        region = self._shifted(base, part)
        stride = region.stride
        return region, self._home.back(base, part.first * stride, part.groups * stride)

    def _shifted(self, base: int, part: Part) -> Region:
        stride = self.plan.x.stride
        return Region(base - part.first * stride, stride)
