"""The residual stream at its home: all of it in RESIDUAL, or in DRAM with visits to RESIDUAL.

A kernel that writes a token block of the stream calls ``enter`` before and ``leave`` after it; in
between, the block's words are where ``target`` and ``address`` say. Where blocks take turns before
they leave, ``resume`` says which one is at hand. For a stream that lives on chip the calls do
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hw.compiler.lower.steps import Steps
from hw.compiler.plan.allocate import Part, Plan
from hw.compiler.step import Demand, Step
from hw.isa.payload import Gather, Mem, Scatter
from hw.lib.numbers import ceil_div, round_up
from hw.program.destination import Residual
from hw.program.regions import Region


@dataclass(kw_only=True)
class _Visit:
    """A token block in RESIDUAL: its words, where token 0 would be, what brought it, last user."""

    part: Part
    low: int
    high: int
    base: int
    brought: Demand | None = None
    last: Step | None = None


class ResidualStream:
    """Brings token blocks in and takes them out; ``home`` is the stream's place in DRAM."""

    def __init__(self, steps: Steps, plan: Plan) -> None:
        self.steps, self.plan = steps, plan
        self.pitch = round_up(plan.residual_stride * plan.config.cols, plan.config.axi_bytes)
        self.home = 0 if plan.resident else steps.spill_place(plan.tokens * self.pitch)
        #: The load that brought the block at hand, for the steps that need it.
        self.brought: Demand | None = None
        self._base = 0  # word of token 0, had it been brought with the block at hand
        self._visits: list[_Visit] = []
        self._count = 0

    def target(self) -> Residual:
        """Where the residual adder finds and leaves the tokens of the block at hand."""
        return Residual(base=self._base, stride=self.plan.residual_stride)

    def address(self, token: int) -> int:
        """First word of a token of the block at hand."""
        return self._base + token * self.plan.residual_stride

    def enter(self, part: Part, parts: tuple[Part, ...], *, fresh: bool = False) -> None:
        """Begin with block ``part`` of the kernel's ``parts``; ``fresh``: nothing to bring in.

        Blocks of one kernel take turns in as many equal slots as RESIDUAL has room for.
        """
        if self.plan.resident:
            return
        first, count = self.plan.token_range(part)
        stride = self.plan.residual_stride
        slot = max(self.plan.token_range(p)[1] for p in parts) * stride
        slots = self.plan.config.residual_words // slot
        low = self._count % slots * slot
        self._count += 1
        self._base = low - first * stride
        visit = _Visit(part=part, low=low, high=low + count * stride, base=self._base)
        over = [v.last for v in self._visits if v.low < visit.high and visit.low < v.high]
        self._visits = [v for v in self._visits if v.high <= visit.low or visit.high <= v.low]
        self._visits.append(visit)
        self.brought = None
        if not fresh:
            step = self.steps.make(Gather(**self._run(first, count)), region=Region.SPILL)
            used = [s for s in over if s is not None]
            self.brought = Demand(step=step, after=self.steps.latest(used))
            self.steps.loads.append(self.brought)
        visit.brought = self.brought

    def resume(self, part: Part) -> None:
        """Go on with a block that has been entered and has not left."""
        if self.plan.resident:
            return
        visit = self._of(part)
        self._base, self.brought = visit.base, visit.brought

    def _of(self, part: Part) -> _Visit:
        return next(v for v in self._visits if v.part == part and v.last is None)

    def leave(self, part: Part, *, kept: bool = True) -> None:
        """End with the block; it goes back to DRAM unless nobody reads it again (not ``kept``)."""
        if self.plan.resident:
            return
        first, count = self.plan.token_range(part)
        if kept:
            self.steps.add(Scatter(**self._run(first, count)), region=Region.SPILL)
        self._of(part).last = self.steps.main[-1]
        self.brought = None

    def _run(self, first: int, count: int) -> dict[str, Any]:
        """The block's tokens as one token run; a run each where tokens do not fill their beats."""
        config, stride = self.plan.config, self.plan.residual_stride
        size = stride * config.cols
        fields = {
            "mem": Mem.RESIDUAL, "addr": self.address(first), "stride": stride, "seg_bytes": size,
            "rows": 1, "dram": self.home + first * self.pitch,
        }  # fmt: skip
        if size == self.pitch:
            beats = ceil_div(count * size, config.axi_bytes)
            return fields | {"segs": count, "runs": 1, "beats": beats}
        return fields | {
            "segs": 1, "runs": count, "beats": self.pitch // config.axi_bytes, "pitch": self.pitch,
            "line_addr": stride,
        }  # fmt: skip
