"""STORE unit: see sim/benches/store.py."""

import pytest

from hw.config import PRESETS
from hw.store_unit import StoreUnit
from sim.bench_config import config_env
from sim.runner import run
from sim.unit_points import ODD, POINTS
from sim.units import compile_parts, units

TESTS = [
    "every_source", "full_bus_rate/source=residual", "full_bus_rate/source=stream",
    "full_bus_rate/source=act", "outside_the_window", "illegal_instructions", "error_response",
    "stop_at_any_time",
]  # fmt: skip
SLOW = (PRESETS["edge"], PRESETS["base"], *POINTS)


@pytest.mark.parametrize("stalls", ["0", "0.3", "0.7"])
@pytest.mark.parametrize(
    "config",
    [PRESETS["tiny"], ODD, *(pytest.param(c, marks=pytest.mark.slow) for c in SLOW)],
    ids=lambda c: c.name,
)
def test_bench(config, stalls):
    env = config_env(config) | {"POTVIT_BENCH_STALLS": stalls}
    assert run(units(config, "norm", "load", "store"), "sim.benches.store", env=env) == TESTS


def test_a_fault_is_caught(monkeypatch):
    """Bursts across 4 KB pages."""
    monkeypatch.setattr("hw.burst.PAGE_BYTES", 8192)
    simulator = compile_parts({"store": StoreUnit(PRESETS["tiny"])}, "potvit_units")
    env = config_env(PRESETS["tiny"])
    with pytest.raises(AssertionError, match="burst crosses 4 KB"):
        run(simulator, "sim.benches.store", testcase="every_source", env=env)
