"""What the heads of one block's attention leave, at its home: ACT, or DRAM head by head."""

from __future__ import annotations

from hw.compiler.image.checkpoints import Outputs
from hw.compiler.lower.act_home import ActHome
from hw.compiler.lower.emitter import Emitter
from hw.compiler.plan.allocate import Part, Region
from hw.compiler.step import Demand

SLOTS = 2


class HeadResults:
    """The results of ``heads`` heads of one block, ``words`` words each in every row group.

    ATTEND makes them in pieces of a row group and some words of a head: ``place`` says where one
    goes, ``leave`` takes it home.
    """

    def __init__(self, emitter: Emitter, outputs: Outputs, heads: int, words: int) -> None:
        self.emitter, self.outputs, self.plan = emitter, outputs, emitter.plan
        self.heads, self.words = heads, words
        self.stride = heads * words
        self._at = self._turn = self._visits = 0
        if not self.plan.attn_resident:
            self._home = ActHome(emitter, "attention", self.plan.groups * self.stride)

    def place(self, head: int, group: int, first: int) -> int:
        """Where ATTEND writes the words of a head and row group from word ``first`` on."""
        plan = self.plan
        if plan.streamed is not None:
            slots = plan.streamed.results
            self._at = slots[self._turn % len(slots)]
            self._turn += 1
        elif plan.attn_resident:
            self._at = plan.attn.base + (group * self.heads + head) * self.words + first
        else:
            at = head % SLOTS * plan.groups + group
            self._at = plan.attn.base + at * self.words + first
        return self._at

    def leave(self, name: str, head: int, group: int, first: int, words: int) -> None:
        """Take what was just written to its home, and to the checkpoint of tensor ``name``."""
        if self.plan.attn_resident:
            return
        at = (group * self.heads + head) * self.words + first
        self._home.out(self._at, at, words)
        self.outputs.head_rows(name, self._at, words, at, self.heads, self.words)

    def complete(self, name: str) -> None:
        """All heads are through: checkpoint tensor ``name`` if it is still on chip."""
        if self.plan.attn_resident:
            whole = Part(0, self.plan.groups)
            region = Region(self.plan.attn.base, self.stride)
            self.outputs.act(name, region, whole, self.heads)

    def bring(self, part: Part) -> tuple[Region, Demand | None]:
        """Where the projection of ``part`` reads, and the load that it needs."""
        if self.plan.attn_resident:
            return Region(self.plan.attn.base, self.stride), None
        base = self.plan.visits[self._visits % SLOTS]
        self._visits += 1
        first = part.first * self.stride
        brought = self._home.back(base, first, part.groups * self.stride)
        return Region(base - first, self.stride), brought
