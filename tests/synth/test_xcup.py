"""DSPs of UltraScale+: how many, and that what Yosys moves into them computes the same."""

import sys

import numpy as np
import pytest

from golden.ops.psmac import PsMac
from golden.support.errors import PotvitError
from hw.array.mac.packed_pe import PackedPE
from hw.array.mac.pe import PE
from hw.lib.convert import to_verilog
from hw.precision import Precision
from synth.xcup import mapping_script, resources
from synth.yosys import run_script

# What the netlists use of the block, as the vendor's manual describes it.
DSP48E2 = """
module DSP48E2 #(
    parameter ACASCREG = 0, ADREG = 0, ALUMODEREG = 0, AREG = 0, BCASCREG = 0, BREG = 0,
    CARRYINREG = 0, CARRYINSELREG = 0, CREG = 0, DREG = 0, INMODEREG = 0, MREG = 0, OPMODEREG = 0,
    PREG = 0, A_INPUT = "", B_INPUT = "", USE_MULT = "", USE_SIMD = "", AMULTSEL = "", BMULTSEL = ""
) (
    input CLK, input [29:0] A, input [17:0] B, input [47:0] C, PCIN, input [26:0] D,
    input [29:0] ACIN, input [17:0] BCIN, input [4:0] INMODE, input [3:0] ALUMODE,
    input [8:0] OPMODE, input [2:0] CARRYINSEL, input CARRYIN, CEP, CEM, CEA1, CEA2, CEB1, CEB2,
    input CEAD, CEALUMODE, CEC, CECARRYIN, CECTRL, CED, CEINMODE, RSTA, RSTALLCARRYIN,
    input RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP,
    output [47:0] P, PCOUT
);
    wire signed [44:0] product = $signed(A[26:0]) * $signed(B);
    reg signed [44:0] m = 0;
    reg [47:0] p = 0;
    wire signed [44:0] x = MREG ? m : product;
    wire [47:0] z = OPMODE[6:4] == 1 ? PCIN : OPMODE[6:4] == 3 ? C : 0;
    wire [47:0] sum = {{3{x[44]}}, x} + z;
    always @(posedge CLK) begin
        if (CEM) m <= product;
        if (CEP) p <= sum;
    end
    assign P = PREG ? p : sum;
    assign PCOUT = P;
endmodule
"""
PROVE = """
select top
write_rtlil -selected mapped.il
design -reset
read_verilog +/xilinx/cells_sim.v
read_verilog dsp.v
read_rtlil mapped.il
hierarchy -top top
proc
flatten
opt -full
rename top gate
read_verilog design.v
proc
opt -full
rename top gold
miter -equiv -flatten gold gate both
sat -verify -seq {steps} -set-init-zero {inputs} -prove trigger 0 both
"""
STEPS = 12


def prove():
    """Yosys commands that compare the netlist with its source for random inputs of some cycles.

    Everything is given, so SAT only evaluates; a product of two unknowns would take it hours.
    """
    rng = np.random.default_rng(1)
    bits = {"x_lo__{}": 8, "x_hi__{}": 8, "w4": 1, "first": 1, "load": 1}
    bits |= {f"channel__{c}__w_{half}__{{}}": 4 for c in range(2) for half in ("lo", "hi")}
    bits |= {f"channel__{c}__below": 27 for c in range(2)}
    widths = {name.format(lane): width for name, width in bits.items() for lane in range(2)}
    inputs = [
        f"-set-at {step} in_{name} {rng.integers(1 << width)}"
        for step in range(1, STEPS + 1) for name, width in widths.items()
    ]  # fmt: skip
    return PROVE.format(steps=STEPS, inputs=" ".join(inputs))


def mapped(provider, lanes, prove="", **options):
    verilog = to_verilog(provider(PsMac(lanes=lanes), **options), "top")
    files = {"design.v": verilog, "boxes.v": "// none\n", "dsp.v": DSP48E2}
    return run_script(mapping_script("top") + prove, files, provider.__name__)


@pytest.mark.parametrize(
    ("provider", "options", "dsps"),
    [(PE, {}, 8), (PackedPE, {}, 8), (PackedPE, {"precision": Precision.W8A8}, 4)],
)
def test_multiplications_and_their_sums_take_dsps_alone(provider, options, dsps):
    """Four lanes: an 8x4 product a DSP, or two of them, or two of 8x8."""
    found = resources(mapped(provider, 4, **options))
    assert found["DSP"] == dsps
    bits = 28  # accumulator and drain of four lanes, which are all the registers there are
    assert found["FF"] == 2 * bits * provider.CHANNELS
    assert found["LUT"] < 4 * bits * provider.CHANNELS


def test_the_mapped_pe_is_equal():
    mapped(PackedPE, 2, prove())


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), [("1 ? PCIN", "1 ? 0"), ("PREG ? p", "PREG ? sum")])
def test_a_wrong_block_is_noticed(monkeypatch, old, new):
    assert old in DSP48E2
    monkeypatch.setattr(sys.modules[__name__], "DSP48E2", DSP48E2.replace(old, new))
    with pytest.raises(PotvitError):
        mapped(PackedPE, 2, prove())
