"""Code selection, exhaustively for small numbers and a million random ones."""

import pytest

from hw.attention.code_select import CodeSelect
from sim.benches.code_select import CodeSelectBank
from sim.kit.units import compile_parts
from sim.simulator.runner import run


def test_codes_equal_the_rules():
    simulator = compile_parts({"select": CodeSelectBank()}, "potvit_code_select")
    assert run(simulator, "sim.benches.code_select") == ["codes"]


def test_a_missing_compare_is_caught(monkeypatch):
    """Without its second compare FQ-ViT's rule loses codes where adding E carries."""
    count = CodeSelect._count

    def once(self, m, product, bias, position, q, name, *, most, twice=False):
        return count(self, m, product, bias, position, q, name, most=most)

    monkeypatch.setattr(CodeSelect, "_count", once)
    simulator = compile_parts({"select": CodeSelectBank()}, "potvit_code_select")
    with pytest.raises(AssertionError, match="setting 1: E="):
        run(simulator, "sim.benches.code_select", env={"POTVIT_BENCH_VECTORS": "10000"})
