"""A tensor of ACT whose home is DRAM: stored words on their way out and in."""

from __future__ import annotations

from hw.compiler.lower.steps import Steps
from hw.compiler.step import Demand, Step
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.isa.payload import Gather, Mem, Store
from hw.lib.numbers import round_up
from hw.program.regions import Region


class ActHome:
    """Room in DRAM for ``words`` words of ACT that tensors called ``name`` share in turn.

    A word (of all banks) lies as STORE leaves it, in whole beats. What comes back waits for the
    stores that wrote it and for whoever used the words it overwrites.
    """

    def __init__(self, steps: Steps, name: str, words: int) -> None:
        self.steps = steps
        config: Config = steps.config
        size = memories(config)[Space.ACT].moved
        self.pitch = round_up(size, config.axi_bytes)
        self.offset = steps.shared_place(name, words * self.pitch)
        self._packed = self.pitch == size
        self._writers: dict[int, Step] = {}

    def out(self, address: int, first: int, words: int) -> None:
        """Store ``words`` words from ``address`` as the tensor's words from ``first``."""
        body = Store(src=Mem.ACT, addr=address, words=words, dram=self.offset + first * self.pitch)
        step = self.steps.add(body, region=Region.SPILL)
        self._writers |= dict.fromkeys(range(first, first + words), step)

    def back(self, address: int, first: int, words: int) -> Demand:
        """Bring the tensor's words from ``first`` to ``address``."""
        config = self.steps.config
        rows, runs = (words, 1) if self._packed else (1, words)
        body = Gather(
            mem=Mem.ACT,
            addr=address,
            line_addr=1,
            seg_bytes=config.act_bytes,
            segs=config.rows,
            rows=rows,
            runs=runs,
            beats=self.pitch * rows // config.axi_bytes,
            pitch=0 if self._packed else self.pitch,
            dram=self.offset + first * self.pitch,
        )
        before = [self._writers[word] for word in range(first, first + words)]
        user = self.steps.last_user(Space.ACT, address, address + words)
        step = self.steps.make(body, region=Region.SPILL)
        after = self.steps.latest([*before, *([user] if user else [])])
        demand = Demand(step=step, after=after)
        self.steps.loads.append(demand)
        return demand
