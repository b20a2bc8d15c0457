"""Code selection, exhaustively for small numbers and a million random ones."""

import pytest

from hw.attention.code_select import CodeSelect
from sim.benches.code_select import KEYS, CodeSelectBank
from sim.kit.units import compile_parts
from sim.simulator.runner import run


@pytest.mark.parametrize("keys", [256, 1024])
def test_codes_equal_the_rules(keys):
    simulator = compile_parts({"select": CodeSelectBank(keys)}, "potvit_code_select")
    assert run(simulator, "sim.benches.code_select", env={KEYS: str(keys)}) == ["codes"]


def test_a_missing_compare_is_caught(monkeypatch):
    """Without its second compare FQ-ViT's rule loses codes where adding E carries."""
    count = CodeSelect._count

    def once(self, m, product, bias, position, q, name, *, most, twice=False):
        return count(self, m, product, bias, position, q, name, most=most)

    monkeypatch.setattr(CodeSelect, "_count", once)
    simulator = compile_parts({"select": CodeSelectBank(256)}, "potvit_code_select")
    few = {"POTVIT_BENCH_VECTORS": "10000", KEYS: "256"}
    with pytest.raises(AssertionError, match="setting 1: E="):
        run(simulator, "sim.benches.code_select", env=few)
