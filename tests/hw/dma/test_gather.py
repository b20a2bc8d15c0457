"""GATHER in the LOAD unit: see sim/benches/gather.py."""

import pytest

from hw.config import PRESETS
from hw.dma.load_unit import LoadUnit
from sim.benches.network_tensors import loaded
from sim.kit.bench_config import config_env
from sim.kit.units import compile_parts, units
from sim.simulator.runner import run

BENCH = "sim.benches.gather"
PARTS = ("norm", "load", "store")
FAULTS = range(5)
TESTS = [
    "every_move", "ragged_runs/seed=1", "ragged_runs/seed=2",
    *(f"one_word_a_cycle/mem={m}/runs={r}" for m in ("ACT", "RESIDUAL") for r in (1, 6)),
    "illegal_runs",
    *(f"faults_on_the_way/mem={m}/case={c}" for m in ("ACT", "RESIDUAL") for c in FAULTS),
    "a_run_outside_the_window", "error_response", "stop_at_any_time",
]  # fmt: skip
NETWORK = ["network_tensors/window=high", "network_tensors/window=zero"]


@pytest.mark.parametrize("stalls", ["0", "0.3", "0.7"])
def test_bench(unit_config, stalls):
    env = config_env(unit_config, stalls=stalls)
    assert run(units(unit_config, *PARTS), BENCH, env=env) == TESTS


def test_network_tensors(unit_config, quantized, handed):
    """Pixels as patches of a ragged length, residual stream of three blocks."""
    graph, pixels = quantized("vit_digits")
    env = config_env(unit_config) | handed(
        "POTVIT_BENCH_TENSORS", loaded(graph, pixels, unit_config)
    )
    model = units(unit_config, *PARTS)
    assert run(model, BENCH, testcase="network_tensors/.*", env=env) == NETWORK


@pytest.mark.parametrize(
    ("name", "value", "bench"),
    [
        pytest.param("hw.dma.gather_writer.SIGN_FLIP", 0, "every_move", marks=pytest.mark.slow),
        ("hw.dma.token_walk.ADDR_BITS", 10, "faults_on_the_way/mem=ACT/case=0"),
    ],
)
def test_a_fault_is_caught(monkeypatch, name, value, bench):
    """Pixels not re-centred; addresses that come round to the memory's beginning."""
    monkeypatch.setattr(name, value)
    simulator = compile_parts({"load": LoadUnit(PRESETS["tiny"])}, "potvit_units")
    env = config_env(PRESETS["tiny"])
    with pytest.raises(AssertionError, match=r"act write \d+: got|never quiet"):
        run(simulator, BENCH, testcase=bench, env=env)
