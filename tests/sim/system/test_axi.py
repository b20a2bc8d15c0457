"""Whole networks on cocotbext-axi's host and memory: see sim/benches/axi.py."""

import numpy as np
import pytest

from golden.execute.batched import Executor
from golden.synthetic.graphs import random_graph, random_image
from hw.bus.axi import CONSTANTS
from hw.compiler import compile_graph
from hw.config import PRESETS, preset
from hw.rules.port_rules import PortRules
from hw.top import accelerator
from sim.kit.bench_config import config_env
from sim.simulator.runner import run
from sim.system import axi_harness
from sim.system.axi_harness import axi_system
from sim.system.bundles import network
from sim.system.job import Job, Run

BENCH = "sim.benches.axi"
PLACES = [f"network/place={place}" for place in ("zero", "odd", "end", "address", "late")]
SPILLING = preset("tiny").change(residual_words=120, name="small")


def environment(folder, config, graph, picture):
    """A job of both programs of ``graph``: the checkpointed one is the last."""
    job = Job(folder, config)
    job.add_program("plain", compile_graph(graph, config))
    job.add_program("checkpointed", compile_graph(graph, config, checkpoints=True))
    tensors = Executor(graph).trace(picture[np.newaxis])
    job.add_picture(0, picture, {name: value[0] for name, value in tensors.items()})
    job.plan([Run(program="plain", picture=0), Run(program="checkpointed", picture=0)])
    return config_env(config) | {"POTVIT_JOB": str(folder.resolve())}


def small(seed=7):
    graph = random_graph(seed=seed, depth=1, tokens=5, channels=16, heads=1, patch=8)
    return graph, random_image(graph, 1)


@pytest.mark.parametrize(
    "config",
    [
        PRESETS["tiny"],
        *(pytest.param(PRESETS[name], marks=pytest.mark.slow) for name in ("edge", "base")),
    ],
    ids=lambda config: config.name,
)
def test_places(tmp_path, config):
    """Bases at zero, off every grid but the bus's, and at the end of the address space."""
    env = environment(tmp_path, config, *small())
    assert run(axi_system(config), BENCH, testcase="network/.*", env=env) == PLACES


@pytest.mark.slow
def test_vit_digits(tmp_path):
    net = network("vit_digits", "w8a8", "log2")
    picture = net.data.calib(1)[0].pixels(net.model.spec.preprocess)
    env = environment(tmp_path, PRESETS["tiny"], net.graph, picture)
    assert run(axi_system(PRESETS["tiny"]), BENCH, testcase="network/.*", env=env) == PLACES


@pytest.mark.slow
def test_errors_at_every_kind_of_access(tmp_path):
    """Program, parameters, spilled tokens that go and come back, result."""
    graph = random_graph(
        tokens=17, channels=48, heads=3, depth=1, patch=4, image_channels=4, hidden=96
    )
    env = environment(tmp_path, SPILLING, graph, random_image(graph, 1))
    assert run(axi_system(SPILLING), BENCH, testcase="errors", env=env) == ["errors"]


def test_ports_of_the_rules_are_the_accelerators():
    """Every port of the buses is watched but for those that are constant."""
    config = PRESETS["tiny"]
    ports = {n for n in accelerator.Potvit(config).signature.members if "_axi" in n}
    watched = set(PortRules(config).signature.members) - {"broken", "seen"}
    assert watched <= ports
    constant = {f"m_axi_{channel}{name}" for channel in ("ar", "aw") for name in CONSTANTS}
    assert ports - watched == constant


@pytest.mark.slow
def test_a_broken_rule_is_told(tmp_path, monkeypatch):
    """Read data that are withdrawn, on both sides alike: right results, and a broken rule."""
    gates = axi_harness._GATES | {"r": "q_m_axi_arready || !d_m_axi_arvalid"}
    monkeypatch.setattr(axi_harness, "_GATES", gates)
    env = environment(tmp_path, PRESETS["tiny"], *small())
    simulator = axi_harness.axi_system(PRESETS["tiny"])
    with pytest.raises(AssertionError, match="rules broken: read: r_valid_stays"):
        run(simulator, BENCH, testcase="network/place=odd", env=env)
