"""What the compiler handles before synchronisation: steps and load demands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hw.config import Config
from hw.formats.memories import Access
from hw.isa.instruction import UNIT_OF, Unit
from hw.isa.payload import Load, Op, Payload, Store, TokenRun
from hw.program.footprint import Footprint, footprint
from hw.program.regions import Region, Regions


@dataclass(eq=False, kw_only=True)
class Step:
    """One instruction before synchronisation.

    ``region`` is what its window offset counts from until ``locate`` has placed the regions.
    ``needs`` are the loads that must precede it. ``tile`` is the load whose ring address fills
    ``w_addr`` and ``p_addr`` (offset by ``tile_word`` words) once it is known. ``reads`` and
    ``writes`` are known once ``declare`` has been told that every address is in place.
    """

    layer: int
    body: Payload
    region: Region = Region.PARAMETERS
    needs: list[Demand] = field(default_factory=list)
    tile: Demand | None = None
    tile_word: int = 0
    reads: tuple[Access, ...] = ()
    writes: tuple[Access, ...] = ()
    _made: tuple[Payload, Footprint] | None = field(default=None, repr=False)

    @property
    def op(self) -> Op:
        """The opcode."""
        return self.body.op

    @property
    def unit(self) -> Unit:
        """The unit that executes it."""
        return UNIT_OF[self.op]

    def change(self, **fields: Any) -> None:
        """Set payload fields."""
        self.body = replace(self.body, **fields)

    def locate(self, regions: Regions) -> None:
        """Count its window offset from the beginning of the window."""
        if isinstance(self.body, Load | Store | TokenRun):
            self.change(dram=self.body.dram + regions[self.region].offset)

    def footprint(self, config: Config) -> Footprint:
        """What the instruction touches and costs as it is now."""
        if self._made is None or self._made[0] is not self.body:
            self._made = (self.body, footprint(self.body, config))
        return self._made[1]

    def declare(self, config: Config) -> None:
        """Take reads and writes from the instruction, whose addresses are final."""
        made = self.footprint(config)
        self.reads, self.writes = made.reads, made.writes


@dataclass(eq=False, kw_only=True)
class Demand:
    """A load that some steps need, in the order in which the LOAD unit will execute it.

    ``ring`` demands get their address in the stream ring when they are placed. ``after`` is the
    last step that uses what the load overwrites. A load of position constants has ``consumer``
    and is placed directly before it. ``beyond`` is the last step that uses the keys behind the
    ring, if a ring demand may lie there too (True: there are none yet).
    """

    step: Step
    ring: bool = False
    words: int = 0
    users: int = 0
    after: Step | None = None
    consumer: Step | None = None
    beyond: Step | bool = False
    address: int = -1
