"""No output of the accelerator depends on an input of the same cycle (IHI 0022, A3.2.1)."""

import json
from collections import defaultdict

import pytest

from hw.config import preset
from hw.top.verilog import generate
from synth.yosys import run_script

NETLIST = """
read_verilog potvit.v
hierarchy -top {top}
proc
flatten
memory_dff
opt_clean
write_json netlist.json
tee -q -o stat.json stat -json
"""

#: Cells whose outputs hold what was there before the clock edge.
STATE = ("$dff", "$sdff")


def netlist(text, top, folder):
    """The flat module as Yosys writes it."""
    kept = folder / "netlist.json"
    run_script(NETLIST.format(top=top), {"potvit.v": text}, top, keep=kept)
    return json.loads(kept.read_text())["modules"][top]


def combinational(module):
    """Pairs (input, output) with a path through gates alone."""
    following = defaultdict(set)
    for cell in module["cells"].values():
        read = cell["type"] == "$memrd_v2" and int(cell["parameters"]["CLK_ENABLE"], 2)
        if cell["type"].startswith(STATE) or read:
            continue
        directions = cell["port_directions"]
        outs = {b for p, bits in cell["connections"].items() if directions[p] == "output"
                for b in bits}  # fmt: skip
        for port, bits in cell["connections"].items():
            if directions[port] == "input":
                for bit in bits:
                    following[bit] |= outs
    found = set()
    ports = module["ports"]
    ends = {b: n for n, p in ports.items() if p["direction"] == "output" for b in p["bits"]}
    for name, port in ports.items():
        if port["direction"] != "input" or name == "clk":
            continue
        seen, todo = set(), list(port["bits"])
        while todo:
            bit = todo.pop()
            if bit not in seen:
                seen.add(bit)
                todo += following[bit]
        found |= {(name, ends[bit]) for bit in seen & ends.keys()}
    return found


def test_paths_are_found(tmp_path):
    text = """
module top(input clk, input a, input [1:0] at, output b, output reg c, output [3:0] d);
    reg [3:0] words [0:3];
    always @(posedge clk) begin words[at] <= a; c <= a; end
    assign b = c ? a : 1'b0;
    assign d = words[at];
endmodule
"""
    assert combinational(netlist(text, "top", tmp_path)) == {("a", "b"), ("at", "d")}


@pytest.fixture(scope="module")
def tiny():
    design = generate(preset("tiny"))
    return design.verilog, design.description["name"]


def test_no_path_from_input_to_output(tiny, tmp_path):
    text, top = tiny
    module = netlist(text, top, tmp_path)
    assert len(module["ports"]) > 50
    assert len(module["cells"]) > 1000
    assert combinational(module) == set()
