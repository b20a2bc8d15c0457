"""Whole networks in four states: see sim/simulator/icarus.py."""

import numpy as np
import pytest

from golden.execute.batched import Executor
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.config import PRESETS
from sim.simulator.icarus import without_initial_values
from sim.system.harness import system
from sim.system.job import Job, Run

VERILOG = """module m(clk, d, q);
  reg \\$1 ;
  reg [3:0] count = 4'h5;
  reg signed [1:0] \\odd.name  = 2'h0;
  wire w = 1'h0;
endmodule
"""


def test_registers_lose_their_initial_values():
    bare = without_initial_values(VERILOG)
    assert "reg [3:0] count;" in bare
    assert "reg signed [1:0] \\odd.name ;" in bare
    assert "wire w = 1'h0;" in bare


def test_verilog_without_initial_values_is_not_what_was_meant():
    with pytest.raises(ValueError, match="no register with an initial value"):
        without_initial_values("module m(clk); endmodule")


def test_no_waves():
    with pytest.raises(PotvitError, match="waves are written by Verilator"):
        system(PRESETS["tiny"], waves="ports", simulator="icarus")


def test_without_icarus_the_package_is_named(monkeypatch, tmp_path):
    for tool in ("make", "g++", "perl"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PotvitError, match=r"iverilog is missing.*Debian package: iverilog"):
        system(PRESETS["tiny"], simulator="icarus")


@pytest.mark.needs("four states")
@pytest.mark.parametrize(("checkpoints", "tokens"), [(False, 5), (True, 4)])
def test_what_is_stored_is_equal_and_defined(tmp_path, checkpoints, tokens):
    """The result of a network with ragged tiles; every tensor of one whose tiles are whole."""
    graph = random_graph(seed=7, depth=1, tokens=tokens, channels=16, heads=1, patch=8)
    picture = random_image(graph, 1)
    job = Job(tmp_path, PRESETS["tiny"])
    job.add_program("it", compile_graph(graph, job.config, checkpoints=checkpoints))
    tensors = Executor(graph).trace(picture[np.newaxis])
    job.add_picture(0, picture, {name: value[0] for name, value in tensors.items()})
    answer = job.simulate([Run(program="it", picture=0)], simulator="icarus")[0]
    assert not answer["error"] + answer["difference"]
    wanted = {t.name for t in graph.stored()} if checkpoints else {graph.output}
    assert wanted <= {c["tensor"] for c in answer["compared"]}
    assert answer["counters"]["macs"] > 0
