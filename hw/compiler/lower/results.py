"""What attention leaves, at its home: all heads in ACT, or in DRAM until the projection.

In DRAM the words lie as ACT has them, one row group behind the other, each with the words of all
heads, so that a token block comes back as one token run and looks as if it had never left.
"""

from __future__ import annotations

from hw.compiler.image.checkpoints import Outputs
from hw.compiler.lower.emitter import Emitter
from hw.compiler.plan.allocate import Part, Region
from hw.compiler.step import Demand, Step
from hw.formats.memories import Space, memories, moved_beats
from hw.isa.payload import Gather, Mem, Store
from hw.program.regions import Region as Area

SLOTS = 2


class HeadResults:
    """The results of ``heads`` heads of one block, ``words`` words each in every row group."""

    def __init__(self, emitter: Emitter, outputs: Outputs, heads: int, words: int) -> None:
        self.emitter, self.outputs, self.plan = emitter, outputs, emitter.plan
        self.heads, self.words = heads, words
        self.stride = heads * words
        self._word_bytes = memories(emitter.config)[Space.ACT].moved
        self._home = 0
        if not self.plan.attn_resident:
            self._home = emitter.shared_place(
                "attention", self.plan.groups * self.stride * self._word_bytes
            )
        self._users: list[Step] = []

    def address(self, head: int, group: int) -> int:
        """Where ATTEND writes the first word of a head and row group."""
        base = self.plan.attn.base
        if self.plan.attn_resident:
            return base + (group * self.heads + head) * self.words
        return base + (head % SLOTS * self.plan.groups + group) * self.words

    def leave(self, name: str, head: int, group: int) -> None:
        """Take what was just written to its home, and to the checkpoint of tensor ``name``."""
        if self.plan.attn_resident:
            return
        address, first = self.address(head, group), (group * self.heads + head) * self.words
        offset = self._home + first * self._word_bytes
        body = Store(src=Mem.ACT, addr=address, words=self.words, dram=offset)
        self.emitter.add(body, region=Area.SPILL)
        self.outputs.head_rows(name, address, self.words, head, self.heads, group)

    def complete(self, name: str) -> None:
        """All heads are through: checkpoint tensor ``name`` if it is still on chip."""
        if self.plan.attn_resident:
            whole = Part(0, self.plan.groups)
            region = Region(self.plan.attn.base, self.stride)
            self.outputs.act(name, region, whole, self.heads)
        self._users = [self.emitter.main[-1]] * SLOTS

    def bring(self, part: Part) -> tuple[Region, Demand | None]:
        """Where the projection of ``part`` reads, and the load that it needs."""
        if self.plan.attn_resident:
            return Region(self.plan.attn.base, self.stride), None
        base = self.plan.visits[len(self._users) % SLOTS]
        config, words = self.emitter.config, part.groups * self.stride
        body = Gather(
            mem=Mem.ACT,
            addr=base,
            line_addr=1,
            seg_bytes=config.act_bytes,
            segs=config.rows,
            rows=words,
            runs=1,
            beats=moved_beats(Space.ACT, words, config, packed=True),
            dram=self._home + part.first * self.stride * self._word_bytes,
        )
        step = self.emitter.make(body, region=Area.SPILL)
        brought = Demand(step=step, after=self._users[-SLOTS])
        self.emitter.loads.append(brought)
        return Region(base - part.first * self.stride, self.stride), brought

    def release(self) -> None:
        """The projection of the block that was brought is through."""
        self._users.append(self.emitter.main[-1])
