"""Fixtures of the hardware's tests: the fast simulator, configurations, quantized networks."""

import os
import pickle

import pytest
from amaranth.sim import Simulator

from hw.config import PRESETS
from sim.kit.unit_points import ODD, POINTS
from sim.system.bundles import network

_SLOW_POINTS = (PRESETS["edge"], PRESETS["base"], *POINTS)


@pytest.fixture
def simulate():
    """``simulate(component, testbench, ...)``: run until the testbenches end, one clock.

    For components that Amaranth's own simulator runs faster than Verilator compiles.
    """

    def run(component, *testbenches, domain="sync"):
        simulator = Simulator(component)
        simulator.add_clock(1e-6, domain=domain)
        for testbench in testbenches:
            simulator.add_testbench(testbench)
        simulator.run()

    return run


@pytest.fixture(
    params=[
        *(pytest.param(c, id=c.name) for c in (PRESETS["tiny"], ODD)),
        *(pytest.param(c, id=c.name, marks=pytest.mark.slow) for c in _SLOW_POINTS),
    ]
)
def unit_config(request):
    """``tiny`` and the odd point; every preset and further odd points in `make test-all`."""
    return request.param


@pytest.fixture
def quantized():
    """``quantized(model, bits, attn)``: integer graph and the pixels of a picture."""

    def export(model, bits="w8a8", attn="log2"):
        if model != "vit_digits" and "POTVIT_DATA" not in os.environ:
            pytest.skip("POTVIT_DATA is not set: no trained weights")
        net = network(model, bits, attn)
        return net.graph, net.data.calib(1)[0].pixels(net.model.spec.preprocess)

    return export


@pytest.fixture
def handed(tmp_path):
    """``handed(variable, content)``: the environment that hands ``content`` to a bench."""

    def hand(variable, content):
        path = tmp_path / "content.pickle"
        path.write_bytes(pickle.dumps(content))
        return {variable: str(path)}

    return hand
