"""Unit benches run on a memory that answers junk where its contract allows it."""

import pytest

from hw.lib.memory import Memory, memory_verilog
from sim.benches.memory import DelayLine
from sim.kit import units
from sim.simulator.runner import run


def model():
    parts = {"mem": Memory(8, 8), "line": DelayLine()}
    return units.compile_parts(parts, "potvit_mem_bench")


def test_collisions_answer_junk():
    assert run(model(), "sim.benches.memory", testcase="collisions") == ["collisions"]


def test_a_design_that_reads_beside_a_write_is_caught():
    with pytest.raises(AssertionError, match="word 0: got"):
        run(model(), "sim.benches.memory", testcase="delay")


def test_the_memory_that_ships_would_hide_it(monkeypatch):
    """What the junk is for: there the same design works, and a collision looks plausible."""
    monkeypatch.setattr(units, "junk_memory", memory_verilog)
    assert run(model(), "sim.benches.memory", testcase="delay") == ["delay"]
    with pytest.raises(AssertionError, match="passed on"):
        run(model(), "sim.benches.memory", testcase="collisions")
