"""The engine tells right from wrong, and the proofs of small units hold (all: `make formal`)."""

import json

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from formal.commands.prove import chosen
from formal.kit.mutate import mutated
from formal.kit.proof import Bench, Mutant, Proof
from formal.kit.table import prove, summary
from formal.proofs import every_proof
from golden.support.errors import PotvitError


class Wrap(wiring.Component):
    """Counts to ``most`` and starts again."""

    def __init__(self, most):
        self.most = most
        super().__init__({"en": In(1), "count": Out(3)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.en):
            m.d.sync += self.count.eq(self.count + 1)
        with m.If(self.en & (self.count == self.most)):
            m.d.sync += self.count.eq(0)
        return m


class WrapProof(Proof):
    unit = "wrap"
    target = Wrap
    limit, assumed, wanted = 5, 0, 5
    mutants = (
        Mutant(old="self.count + 1", new="self.count + 3"),
        Mutant(old="(self.count == self.most)", new="(self.count == 6)"),
        Mutant(old="with m.If(self.en):", new="with m.If(0):", blocks="wanted"),
    )

    def bench(self, target):
        bench = Bench()
        bench.m.submodules.unit = unit = target(5)
        bench.free_inputs(unit)
        before = Signal(3)
        bench.m.d.sync += before.eq(unit.count)
        if self.assumed:
            bench.assume(unit.count != self.assumed)
        bench.promise("bounded", unit.count <= self.limit)
        bench.promise("steps", (unit.count - before <= 1) | (unit.count == 0))
        bench.cover("wanted", unit.count == self.wanted)
        return bench


def changed(**attributes):
    return type("Changed", (WrapProof,), attributes)()


def test_a_true_promise_is_proven():
    row = prove(WrapProof(), "", {})
    assert row.failure == ""
    assert (row.promises, row.covers, row.mutants) == (2, 1, 3)


@pytest.mark.parametrize(
    ("attributes", "failure"),
    [
        ({"limit": 4}, "broken after 6 cycles: bounded"),
        ({"limit": 4, "depth": 9}, "broken after 6 cycles: bounded"),
        ({"wanted": 6}, "cover wanted not reached"),
        ({"assumed": 3}, "cover wanted not reached"),
        ({"mutants": (*WrapProof.mutants, Mutant(old="In(1), ", new="In(1),  "))}, "not rejected"),
        ({"mutants": WrapProof.mutants[:2]}, "2 mutants are not enough"),
    ],
)
def test_what_fails_is_named(attributes, failure):
    row = prove(changed(**attributes), "", {})
    assert failure in row.failure
    assert summary([row])["failed"] == 1


def test_a_mutant_that_fits_no_more_is_an_error():
    with pytest.raises(ValueError, match="0 times, not once"):
        mutated(Wrap, Mutant(old="no such text", new=""))


def test_a_name_is_taken_once():
    bench = Bench()
    bench.promise("same", Signal())
    with pytest.raises(ValueError, match="two properties are called 'same'"):
        bench.cover("same", Signal())


def test_units_are_named():
    with pytest.raises(PotvitError, match="no proof of unit 'nothing'; one of "):
        chosen("nothing")


def test_every_proof_has_mutants_and_says_what_it_proves():
    proofs = every_proof()
    assert len({p.unit for p in proofs}) >= 19
    assert sum(len(p.variants) for p in proofs) >= 25
    for proof in proofs:
        assert len(proof.mutants) >= 3, proof.unit
        assert type(proof).__doc__, proof.unit


@pytest.mark.parametrize("unit", ["register_queue", "run_window"])
def test_small_units(unit):
    for proof in chosen(unit):
        for variant, options in proof.variants.items():
            assert prove(proof, variant, dict(options)).failure == ""


@pytest.mark.slow
def test_all_proofs_hold(tmp_path):
    from formal.__main__ import COMMANDS
    from golden.support.command_line import main

    out = tmp_path / "summary.json"
    assert main("formal", COMMANDS, ["prove", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["failed"] == 0
