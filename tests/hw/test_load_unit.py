"""LOAD unit: see sim/benches/load.py."""

import pytest

from hw.config import PRESETS
from hw.load_unit import LoadUnit
from sim.bench_config import config_env
from sim.runner import run
from sim.unit_points import ODD, POINTS
from sim.units import compile_parts, units

TESTS = [
    "every_destination", "full_bus_rate", "outside_the_window", "illegal_instructions",
    "error_response", "stop_at_any_time",
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
    assert run(units(config, "norm", "load", "store"), "sim.benches.load", env=env) == TESTS


def test_a_fault_is_caught(monkeypatch):
    """Pixels not re-centred."""
    monkeypatch.setattr("hw.load_writer.SIGN_FLIP", 0)
    simulator = compile_parts({"load": LoadUnit(PRESETS["tiny"])}, "potvit_units")
    env = config_env(PRESETS["tiny"])
    with pytest.raises(AssertionError, match="patch write 0: got"):
        run(simulator, "sim.benches.load", testcase="every_destination", env=env)
