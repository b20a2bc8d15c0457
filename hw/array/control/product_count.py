"""Useful products of each cycle, for the counter of multiplications."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden.ops.psmac import MacMode
from hw.config import Config
from hw.isa.instruction import Op
from hw.isa.layouts import fields_layout, mode_fields


def depth_layout(config: Config) -> data.StructLayout:
    """The fields of an instruction that say how many products a chunk holds."""
    return fields_layout(Op.MATMUL, ("k_last", *mode_fields(config.precision)))


class ProductCount(wiring.Component):
    """Counts real rows times real columns times real inputs of a chunk, two cycles later.

    A chunk has K inputs, 2K in 8x4 mode, 4K in 4x4 mode, and ``k_last`` if it is its tile's last.

    Members
    -------
    begin : pulse; the instruction with this ``depth`` starts in the next cycle.
    issue : a chunk is issued; ``last_chunk`` : its tile's last one.
    rows, cols : real rows and columns of its tile.
    macs : useful products of the chunk of two cycles before; zero, and never undefined, where none
        was issued.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "begin": In(1),
                "depth": In(depth_layout(config)),
                "issue": In(1),
                "last_chunk": In(1),
                "rows": In(range(config.rows + 1)),
                "cols": In(range(config.cols + 1)),
                "macs": Out(bits_for(config.most_macs)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cfg = self.config
        cur = Signal(depth_layout(cfg), reset_less=True)
        with m.If(self.begin):
            m.d.sync += cur.eq(self.depth)
        last: Value = cur.k_last
        if cfg.most_macs // (cfg.rows * cfg.cols) >= 1 << len(last):
            last = Cat(last, last == 0)  # 0 stands for 64
        outputs, k = Signal(range(cfg.rows * cfg.cols + 1)), Signal(len(last), name="k")
        whole = Mux(cur.w4, MacMode.W4.products * cfg.lanes, cfg.lanes)
        if cfg.precision.has(MacMode.W4A4):
            whole = Mux(cur.x4, MacMode.W4A4.products * cfg.lanes, whole)
        m.d.sync += [
            outputs.eq(Mux(self.issue, self.rows * self.cols, 0)),
            k.eq(Mux(self.issue, Mux(self.last_chunk, last, whole), 0)),
            self.macs.eq(outputs * k),
        ]
        return m
