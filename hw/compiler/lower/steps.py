"""The lists that lowering fills: main steps in array order, loads in load order, places in DRAM."""

from __future__ import annotations

from typing import Any

from golden.graph import ir
from hw.compiler.image.layout import Dram
from hw.compiler.step import Demand, Step
from hw.config import Config
from hw.formats.memories import Space, moved_beats
from hw.isa.payload import Load, Mem, Payload
from hw.lib.numbers import round_up


class Steps:
    """Main steps in array order and load demands in load order (``merge`` interleaves them).

    ``spill`` counts the bytes of the spill region that have an owner; ``dram`` is the image of
    ``graph``.
    """

    def __init__(self, config: Config, dram: Dram, graph: ir.Graph) -> None:
        self.config = config
        self.dram = dram
        self.graph = graph
        self.main: list[Step] = []
        self.loads: list[Demand] = []
        self.layers: list[str] = []
        self.spill = 0
        #: Whether weights may lie where keys do: no, always, or behind the last step with keys.
        self.beyond: Step | bool = False
        self._shared: dict[str, int] = {}

    def begin_layer(self, name: str) -> None:
        """Charge the following steps to layer ``name``."""
        if name not in self.layers:
            self.layers.append(name)
        self._layer = self.layers.index(name)

    def add(self, body: Payload, **parts: Any) -> Step:
        """Append a step of the current layer."""
        step = self.make(body, **parts)
        self.main.append(step)
        return step

    def make(self, body: Payload, **parts: Any) -> Step:
        """A step of the current layer that is not in the order of the main steps."""
        return Step(body=body, layer=self._layer, **parts)

    def spill_place(self, size: int) -> int:
        """Offset in the spill region of ``size`` bytes for one tensor's home."""
        offset = self.spill
        self.spill += round_up(size, self.dram.burst)
        return offset

    def shared_place(self, name: str, size: int) -> int:
        """Offset in the spill region that tensors called ``name`` share, one after the other."""
        if name not in self._shared:
            self._shared[name] = self.spill_place(size)
        return self._shared[name]

    def last_user(self, space: Space, low: int, high: int) -> Step | None:
        """The last main step that reads or writes words ``low`` to ``high`` of ``space``.

        Ring addresses are not known yet, so ``space`` is not STREAM.
        """
        for step in reversed(self.main):
            made = step.footprint(self.config)
            touched = (*made.reads, *made.writes)
            if any(a.space is space and a.lo < high and low < a.hi for a in touched):
                return step
        return None

    def latest(self, steps: list[Step]) -> Step | None:
        """The main step of ``steps`` that comes last, if there is any."""
        wanted = {id(step) for step in steps}
        return next((step for step in reversed(self.main) if id(step) in wanted), None)

    def demand(self, mem: Mem, words: int, offset: int, address: int = 0, **parts: Any) -> Demand:
        """Append a load of ``words`` words to ``address`` (or to the ring, for STREAM)."""
        body = Load(
            dest=mem,
            addr=address,
            words=words,
            beats=moved_beats(Space(mem), words, self.config, packed=True),
            dram=offset,
        )
        step = self.make(body)
        ring = mem is Mem.STREAM
        demand = Demand(step=step, ring=ring, words=words, beyond=ring and self.beyond, **parts)
        self.loads.append(demand)
        return demand
