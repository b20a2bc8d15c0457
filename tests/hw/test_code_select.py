"""Code selection, exhaustively for small numbers and a million random ones."""

from sim.benches.code_select import CodeSelectBank
from sim.runner import run
from sim.units import compile_parts


def test_codes_equal_the_rules():
    simulator = compile_parts({"select": CodeSelectBank()}, "potvit_code_select")
    assert run(simulator, "sim.benches.code_select") == ["codes"]
