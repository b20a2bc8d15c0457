"""LOAD unit: see sim/benches/load.py."""

import pytest

from formal.kit.mutate import mutated
from formal.kit.proof import Mutant
from hw.config import PRESETS
from hw.dma.load_unit import LoadUnit
from hw.dma.load_writer import LoadWriter
from hw.dma.read_issuer import ReadIssuer
from sim.benches.network_tensors import loaded
from sim.kit.bench_config import config_env
from sim.kit.units import compile_parts, units
from sim.simulator.runner import run

BENCH = "sim.benches.load"
PARTS = ("norm", "load", "store")
TESTS = [
    "every_destination", "full_bus_rate", "outside_the_window", "illegal_instructions",
    "error_response", "stop_at_any_time",
]  # fmt: skip
NETWORK = ["network_tensors/window=high", "network_tensors/window=zero"]


@pytest.mark.parametrize("stalls", ["0", "0.3", "0.7"])
def test_bench(unit_config, stalls):
    env = config_env(unit_config, stalls=stalls)
    assert run(units(unit_config, *PARTS), BENCH, env=env) == TESTS


@pytest.mark.parametrize("model", ["vit_digits", "deit_tiny"])
def test_network_tensors(unit_config, model, quantized, handed):
    """Pixels, weights of three blocks, LayerNorm parameters, GELU tables, position constants."""
    graph, pixels = quantized(model)
    env = config_env(unit_config) | handed(
        "POTVIT_BENCH_TENSORS", loaded(graph, pixels, unit_config)
    )
    model = units(unit_config, *PARTS)
    assert run(model, BENCH, testcase="network_tensors/.*", env=env) == NETWORK


@pytest.mark.parametrize(
    ("part", "old", "new", "found"),
    [
        pytest.param(
            ReadIssuer, "~constant |", "1 |", "a row came into the full FIFO", id="no credits"
        ),
        pytest.param(
            LoadWriter,
            "addr.eq(addr + 1)",
            "addr.eq(addr)",
            r"\w+ write 1: got",
            id="one address",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_fault_is_caught(monkeypatch, part, old, new, found):
    """Constants asked for without room; all words of an instruction to its first address."""
    faulty = mutated(part, Mutant(old=old, new=new))
    monkeypatch.setattr(f"{LoadUnit.__module__}.{part.__name__}", faulty)
    simulator = compile_parts({"load": LoadUnit(PRESETS["tiny"])}, "potvit_units")
    env = config_env(PRESETS["tiny"])
    with pytest.raises(AssertionError, match=found):
        run(simulator, BENCH, testcase="every_destination", env=env)
