"""Attention in a simulator with four states: what was never written reaches no result."""

import re
import subprocess

import pytest
from amaranth.back import verilog

from golden.ops.shift_attention import ShiftAttention
from hw.attention.shifter_array import ShifterArray

BENCH = """
module bench;
    reg clk = 0, rst = 1, valid = 0, first = 0, half = {half};
    reg [31:0] values = 32'hx;
    reg [9:0] codes = 10'hx;
    reg [1:0] real_keys = 0;
    wire [15:0] words;
    shifters dut (.clk(clk), .rst(rst), .valid(valid), .first(first), .half(half), .values(values),
        .codes(codes), .\\real (real_keys), .shift(6'd14), .words(words));
    always #1 clk = ~clk;
    task cycle; begin @(posedge clk); #0.1; end endtask
    initial begin
        cycle; cycle; rst = 0; cycle;
        // Two keys, then one whose neighbour was never written, then nothing for a while.
        valid = 1; first = 1; real_keys = 3; values = 32'h01020304; codes = {{5'd0, 5'd0}}; cycle;
        first = 0; real_keys = 1; values = 32'hxxxx0506; codes = {{5'bx, 5'd0}}; cycle;
        valid = 0; codes = 10'hx; values = 32'hx; real_keys = 2'bx; cycle; cycle; cycle;
        $display("words %h", words);
        $finish;
    end
endmodule
"""


@pytest.mark.needs("four states")
@pytest.mark.parametrize("half", [0, 1])
def test_keys_that_were_never_written_add_nothing(half, tmp_path):
    unit = ShifterArray(ShiftAttention(), rows=1, keys=2, lanes=2)
    text = verilog.convert(unit, name="shifters", emit_src=False, strip_internal_attrs=True)
    # As on an ASIC: registers start undefined.
    text, count = re.subn(r"^(\s*reg (?:\[[^\]]*\] )?[^=;]+?) = [^;]*;", r"\1;", text, flags=re.M)
    assert count > 10
    (tmp_path / "bench.v").write_text(text + BENCH.format(half=half))
    sim = tmp_path / "sim"
    done = subprocess.run(
        ["iverilog", "-g2005-sv", "-s", "bench", "-o", sim, tmp_path / "bench.v"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = subprocess.run(["vvp", sim], capture_output=True, text=True, check=True).stdout
    found = re.search(r"words ([0-9a-fxz]{4})", said)
    assert found, said
    assert "x" not in found[1], f"undefined: {found[1]}"
    assert found[1] != "0000", "nothing was added"
