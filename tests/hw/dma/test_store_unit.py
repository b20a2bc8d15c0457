"""STORE unit: see sim/benches/store.py."""

import pytest

from hw.config import PRESETS
from hw.dma.store_unit import StoreUnit
from sim.benches.network_tensors import stored
from sim.kit.bench_config import config_env
from sim.kit.units import compile_parts, units
from sim.simulator.runner import run

BENCH = "sim.benches.store"
PARTS = ("norm", "load", "store")
TESTS = [
    "every_source", "handshake_orders/order=address", "handshake_orders/order=together",
    "handshake_orders/order=data", "full_bus_rate/source=residual", "full_bus_rate/source=stream",
    "full_bus_rate/source=act", "outside_the_window", "illegal_instructions", "error_response",
    "stop_at_any_time",
]  # fmt: skip
NETWORK = ["network_tensors/window=high", "network_tensors/window=zero"]


@pytest.mark.parametrize("stalls", ["0", "0.3", "0.7"])
def test_bench(unit_config, stalls):
    env = config_env(unit_config, stalls=stalls)
    assert run(units(unit_config, *PARTS), BENCH, env=env) == TESTS


@pytest.mark.parametrize("model", ["vit_digits", "deit_tiny"])
def test_network_tensors(unit_config, model, quantized, handed):
    """Activations, every head's keys, values, logits and codes, residuals of three blocks."""
    graph, pixels = quantized(model)
    env = config_env(unit_config) | handed("POTVIT_BENCH_TENSORS", stored(graph, pixels))
    model = units(unit_config, *PARTS)
    assert run(model, BENCH, testcase="network_tensors/.*", env=env) == NETWORK


def test_a_fault_is_caught(monkeypatch):
    """Bursts across 4 KB pages."""
    monkeypatch.setattr("hw.bus.burst.PAGE_BYTES", 8192)
    simulator = compile_parts({"store": StoreUnit(PRESETS["tiny"])}, "potvit_units")
    env = config_env(PRESETS["tiny"])
    with pytest.raises(AssertionError, match="burst crosses 4 KB"):
        run(simulator, BENCH, testcase="every_source", env=env)
