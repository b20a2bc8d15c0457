"""Unit benches run on a memory that answers junk where its contract allows it."""

import pytest

from hw.lib.memory import Memory, memory_verilog
from sim.kit import units
from sim.simulator.runner import run


def test_collisions_answer_junk():
    model = units.compile_parts({"mem": Memory(8, 8)}, "potvit_mem_bench")
    assert run(model, "sim.benches.memory") == ["collisions"]


def test_the_plain_memory_would_not_be_noticed(monkeypatch):
    """What the junk is for: the memory that ships hides a collision behind a plausible word."""
    monkeypatch.setattr(units, "junk_memory", memory_verilog)
    model = units.compile_parts({"mem": Memory(8, 8)}, "potvit_mem_bench")
    with pytest.raises(AssertionError, match="passed on"):
        run(model, "sim.benches.memory")
