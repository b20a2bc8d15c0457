"""Fixtures for components that Amaranth's own simulator runs faster than Verilator compiles."""

import pytest
from amaranth.sim import Simulator


@pytest.fixture
def simulate():
    """``simulate(component, testbench, ...)``: run until the testbenches end, one clock."""

    def run(component, *testbenches, domain="sync"):
        simulator = Simulator(component)
        simulator.add_clock(1e-6, domain=domain)
        for testbench in testbenches:
            simulator.add_testbench(testbench)
        simulator.run()

    return run
