"""SCATTER in the STORE unit: see sim/benches/scatter.py."""

import pytest

from hw.config import PRESETS
from hw.dma import store_reader
from hw.dma.store_unit import StoreUnit
from sim.benches.network_tensors import stored
from sim.kit.bench_config import config_env
from sim.kit.units import compile_parts, units
from sim.simulator.runner import run

BENCH = "sim.benches.scatter"
PARTS = ("norm", "load", "store")
FAULTS = range(5)
TESTS = [
    "every_move", "random_runs/seed=1", "random_runs/seed=2",
    "one_word_a_cycle/runs=1", "one_word_a_cycle/runs=6", "illegal_runs",
    *(f"faults_on_the_way/case={c}" for c in FAULTS),
    "a_run_outside_the_window", "error_response", "stop_at_any_time",
]  # fmt: skip
NETWORK = ["network_tensors/window=high", "network_tensors/window=zero"]


@pytest.mark.parametrize("stalls", ["0", "0.3", "0.7"])
def test_bench(unit_config, stalls):
    env = config_env(unit_config, stalls=stalls)
    assert run(units(unit_config, *PARTS), BENCH, env=env) == TESTS


def test_network_tensors(unit_config, quantized, handed):
    """The residual stream of three blocks."""
    graph, pixels = quantized("vit_digits")
    env = config_env(unit_config) | handed("POTVIT_BENCH_TENSORS", stored(graph, pixels))
    model = units(unit_config, *PARTS)
    assert run(model, BENCH, testcase="network_tensors/.*", env=env) == NETWORK


def test_a_fault_is_caught(monkeypatch):
    """Words that share a beat in the wrong order."""
    right = store_reader.StoreReader._packed

    def wrong(self, value, word, slot):
        return right(self, value, word, ~slot)

    monkeypatch.setattr(store_reader.StoreReader, "_packed", wrong)
    simulator = compile_parts({"store": StoreUnit(PRESETS["tiny"])}, "potvit_units")
    env = config_env(PRESETS["tiny"])
    with pytest.raises(AssertionError, match="bytes differ, the first at"):
        run(simulator, BENCH, testcase="every_move", env=env)
