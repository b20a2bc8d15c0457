"""The DRAM model checks the bus; this checks the DRAM model."""

import pytest

from sim.simulator.runner import run
from sim.simulator.verilate import verilate
from sim.system.harness import DRAM_SOURCE

PORTS = [
    *("clk", "rst", "stall_rate", "stall_seed", "fault", "fault_addr", "violation"),
    *("fence_first", "fence_last"),
    *("load", "dump", "first", "count"),
    *("araddr", "arlen", "arsize", "arburst", "arvalid", "arready"),
    *("rdata", "rresp", "rlast", "rvalid", "rready"),
    *("awaddr", "awlen", "awsize", "awburst", "awvalid", "awready"),
    *("wdata", "wstrb", "wlast", "wvalid", "wready", "bresp", "bvalid", "bready"),
]
WORDS = 4096


@pytest.fixture(scope="module")
def model():
    text = DRAM_SOURCE.read_text()
    text = text.replace("parameter BYTES = 32", "parameter BYTES = 8")
    text = text.replace("parameter WORDS = 1 << 20", f"parameter WORDS = {WORDS}")
    return verilate([("potvit_dram.sv", text)], "potvit_dram", PORTS)


@pytest.mark.parametrize("case", ["data_and_order", "injected_responses", "broken_rules"])
def test_dram(model, case):
    env = {"POTVIT_DRAM_WORDS": str(WORDS)}
    assert run(model, "sim.benches.dram", testcase=case, env=env) == [case]
