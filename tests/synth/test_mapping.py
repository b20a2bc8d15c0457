"""The mapped netlist computes what the design does."""

import pytest

from golden.support.errors import PotvitError
from synth.cells import LIBRARY
from synth.generic import library, mapping_script, read_stat
from synth.yosys import run_script

# Each is a kind of arithmetic that the technology maps treat on their own.
EXPRESSIONS = {
    "signed product": "$signed(a) * $signed(b)",
    "unsigned product": "a * b",
    "mixed product": "$signed(a) * $signed({1'b0, b[2:0]})",
    "sum of products": "a * b[2:0] + c[2:0] * d + b[1:0] * d[1:0]",
    "signed sum of products": "$signed(a) * $signed(b) + $signed(c) * $signed(d)",
    "difference of products": "$signed(a) * $signed(b[2:0]) - $signed(c[2:0]) * $signed(d)",
    "products and addends": "a * b + c - d + 12'd77",
    "constant among addends": "a * b + 12'd77 + c - d",
    "constant among products": "a * 4'd9 + c[2:0] * d[2:0] - 4'd11 * b",
    "one-bit factors": "$signed(a) * $signed(b[0]) + c * d[0]",
    "constant factor": "$signed(a) * 5'sd11 + $signed(b)",
    "negative constant factor": "$signed(a) * (-5'sd7) - 3",
    "signed addends": "$signed(a) + $signed(b) - $signed(c) + $signed(d)",
    "negation": "-$signed(a)",
    "compare": "{a < b, $signed(c) >= $signed(d), a == c, a - b > c}",
    "compare and difference": "{a < b, a - b}",
    "increment": "a + 1",
    "shifts": "($signed(a) <<< b[1:0]) + ($signed(c) >>> d[1:0])",
    "narrow result": "{4'(a * b), 3'(a + c + d)}",
}
DESIGN = """
module top (input [3:0] a, b, c, d, output signed [11:0] y);
    wire signed [11:0] named = {expression};
    assign y = named;
endmodule
"""
PROVE = """
select top
write_rtlil -selected mapped.il
design -reset
read_liberty cells.lib
read_rtlil mapped.il
hierarchy -top top
flatten
rename top gate
read_verilog -sv design.v
proc
splitnets -ports top
rename top gold
miter -equiv -flatten gold gate both
sat -verify -prove trigger 0 both
tee -o stat.json stat -json
"""


def check(expression, broken=None):
    script, files = mapping_script("top", library(None))
    script = script.replace("read_verilog design.v", "read_verilog -sv design.v")
    design = DESIGN.format(expression=expression)
    files |= {"design.v": design, "boxes.v": "// none\n"}
    if broken:
        file, old, new = broken
        assert old in files[file]
        files[file] = files[file].replace(old, new)
    return run_script(script + PROVE, files, expression)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_mapped_arithmetic_is_equal(name):
    check(EXPRESSIONS[name])


@pytest.mark.parametrize(
    ("expression", "broken"),
    [
        ("constant among addends", ("dot_products.v", ": constant + (", ": constant - (")),
        ("signed product", ("dot_products.v", "!= (j == bw - 1)", "!= (j == bw)")),
        ("compare", ("adder_cells.v", "assign CO = (A & B) | (CI & (A | B));", "assign CO = A;")),
        ("compare and difference", ("adders.v", "b ^ {Y_WIDTH{BI}}", "b")),
    ],
)
def test_a_wrong_map_is_noticed(expression, broken):
    with pytest.raises(PotvitError):
        check(EXPRESSIONS[expression], broken)


def area(design, top="top"):
    script, files = mapping_script(top, library(None))
    files |= {"design.v": design, "boxes.v": "// none\n"}
    return read_stat(run_script(script, files, "a test"), library(None), "a test")


def test_area_of_an_adder_and_of_registers_is_that_of_their_cells():
    design = """
    module top (input clk, input [7:0] a, b, output reg [8:0] y);
        always @(posedge clk) y <= a + b;
    endmodule
    """
    found = area(design)
    assert found.cells == {"DFF": 9, "HA": 1, "FA": 7}
    areas = {cell.name: cell.area for cell in LIBRARY}
    assert found.sequential == pytest.approx(9 * areas["DFF"])
    assert found.area == pytest.approx(9 * areas["DFF"] + areas["HA"] + 7 * areas["FA"])


def test_an_enable_costs_a_multiplexer_and_unused_outputs_cost_nothing():
    enabled = area("""
    module top (input clk, en, input d, output reg q);
        always @(posedge clk) if (en) q <= d;
    endmodule
    """)
    assert enabled.area == pytest.approx(5.67 + 2.33)
    parity = area("module top (input a, b, c, output y); assign y = a + b + c; endmodule")
    assert parity.cells == {"XOR2": 2} or parity.cells == {"XNOR2": 2}


def test_what_has_no_cell_is_an_error():
    with pytest.raises(PotvitError, match="D latches are not supported"):
        area("""
        module top (input en, d, output reg q);
            always @(*) if (en) q = d;
        endmodule
        """)
