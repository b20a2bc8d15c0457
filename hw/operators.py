"""Which component computes which operator of `golden.ops`; their ``.create()`` looks here."""

from __future__ import annotations

from amaranth.lib import wiring

from golden.ops import (
    Gelu,
    LayerNorm,
    LogIntSoftmax,
    PsMac,
    Requantize,
    ResidualAdd,
    ShiftAttention,
)
from hw.array.drain.gelu_table import GeluTable
from hw.array.drain.requantizer import Requantizer
from hw.array.drain.residual_adder import ResidualAdder
from hw.array.mac.pe import PE
from hw.attention.shifter_array import ShifterArray
from hw.attention.softmax import SoftmaxUnit
from hw.norm.datapath import LayerNormUnit

#: Operator to component. Each takes the parameters object first, but for the table of `Gelu`,
#: whose contents arrive with the program.
COMPONENTS: dict[type, type[wiring.Component]] = {
    Gelu: GeluTable,
    LayerNorm: LayerNormUnit,
    LogIntSoftmax: SoftmaxUnit,
    PsMac: PE,
    Requantize: Requantizer,
    ResidualAdd: ResidualAdder,
    ShiftAttention: ShifterArray,
}
