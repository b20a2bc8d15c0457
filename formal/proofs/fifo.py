"""Fifo: order, no loss, no overflow, with its memory."""

from typing import Any, ClassVar

from formal.kit.proof import Bench, Mutant, Proof
from formal.proofs.register_queue import model
from hw.lib.fifo import Fifo
from hw.rules.rule_set import Side
from hw.rules.stream_rules import StreamRules


class FifoProof(Proof):
    """Equals a list; holds ``depth`` words and one at the output; its level is exact."""

    unit = "fifo"
    target = Fifo
    variants: ClassVar = {f"depth {n}": {"depth": n} for n in (1, 2, 3, 4)}
    mutants = (
        Mutant(old="self.i.ready.eq(stored != depth)", new="self.i.ready.eq(1)"),
        Mutant(old="fetch.eq((stored != 0) & (~valid | pop))", new="fetch.eq(stored != 0)"),
        Mutant(old="Mux(at == depth - 1, 0, at + 1)", new="Mux(at == depth, 0, at + 1)",
               only={"depth": (3,)}),
        Mutant(old="valid.eq(fetch | (valid & ~pop))", new="valid.eq(fetch | valid)"),
        Mutant(old="self.level.eq(stored + valid)", new="self.level.eq(stored)"),
    )  # fmt: skip

    def bench(self, target: Any, *, depth: int) -> Bench:
        """A queue of two-bit words beside a shift register that does the same."""
        bench = Bench()
        bench.m.submodules.fifo = fifo = target(2, depth)
        bench.free_inputs(fifo)
        model(bench, fifo, depth + 1, delay=2)
        bench.check("i", StreamRules(fifo.i), Side.SLAVE, skip=("stream_waits",))
        bench.check("o", StreamRules(fifo.o), Side.MASTER)
        bench.promise("room_as_promised", fifo.i.ready | (fifo.level >= depth))
        return bench
