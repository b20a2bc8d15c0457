"""What the compiler handles before synchronisation: memory accesses, steps and load demands."""

from __future__ import annotations

from dataclasses import dataclass, field

from hw.formats.memories import Access
from hw.isa.instruction import UNIT_OF, Op, Unit


@dataclass(eq=False, kw_only=True)
class Step:
    """One instruction before synchronisation.

    ``reads`` and ``writes`` over-approximate what it touches; ``needs`` are the loads that must
    precede it. ``tile`` is the load whose ring address fills ``w_addr`` and ``p_addr`` (offset by
    ``tile_word`` words) once it is known; ``rows`` counts position constants it takes or brings.
    """

    op: Op
    layer: int
    fields: dict[str, int]
    reads: list[Access] = field(default_factory=list)
    writes: list[Access] = field(default_factory=list)
    needs: list[Demand] = field(default_factory=list)
    tile: Demand | None = None
    tile_word: int = 0
    rows: int = 0

    @property
    def unit(self) -> Unit:
        """The unit that executes it."""
        return UNIT_OF[self.op]


@dataclass(eq=False, kw_only=True)
class Demand:
    """A load that some steps need, in the order in which the LOAD unit will execute it.

    ``ring`` demands get their address in the stream ring when they are placed. ``after`` is the
    last step that uses what the load overwrites. A load of position constants has ``consumer``
    and is placed directly before it.
    """

    step: Step
    ring: bool = False
    words: int = 0
    users: int = 0
    after: Step | None = None
    consumer: Step | None = None
    address: int = -1
