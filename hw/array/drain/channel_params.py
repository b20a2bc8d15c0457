"""Parameters of the output channels of a tile, double-buffered along the drain pipeline."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.array.mac.operand_sums import column_sum_bits, column_unit
from hw.config import Config
from hw.formats.channel import CHANNEL
from hw.formats.layouts import shape

# Cycles after `load` in which a field is taken over, the bias in the cycle of `load` itself.
DELAY = {"bias": 0, "la": 1, "lo": 1, "shift": 2, "alpha": 4}


def channel_layout() -> data.StructLayout:
    """The fields of one channel."""
    return data.StructLayout({name: shape(number) for name, number in CHANNEL.numbers.items()})


class ChannelParams(wiring.Component):
    """Holds the parameters that were fetched last and those of the tile that drains.

    Members: ``word`` and ``capture`` (a parameter word is there, its number is ``index``);
    ``load`` and ``column_sums`` as of `PEArray`; ``channels`` the draining tile's, the column's
    sum already subtracted from the bias: each field changes ``DELAY``
    cycles after ``load``, in step with the row that meets it. So ``capture`` must come before
    ``load`` and later than four cycles after the previous tile's ``load``.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        sums = data.ArrayLayout(column_sum_bits(config.lanes, config.precision), config.cols)
        super().__init__(
            {
                "word": In(data.ArrayLayout(8, config.stream_bytes)),
                "capture": In(1),
                "index": In(range(max(2, config.param_words))),
                "load": In(1),
                "column_sums": In(sums),
                "channels": Out(data.ArrayLayout(channel_layout(), config.cols)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cfg = self.config
        loads = [self.load]
        for i in range(max(DELAY.values())):
            later = Signal(name=f"load{i + 1}")
            m.d.sync += later.eq(loads[-1])
            loads.append(later)

        for c in range(cfg.cols):
            for name, number in CHANNEL.numbers.items():
                index, at = divmod(c * CHANNEL.size + number.at, cfg.stream_bytes)
                raw = Cat(self.word[at + i] for i in range(number.bytes_))
                fetched = Signal(shape(number), name=f"{name}_next_{c}", reset_less=True)
                used = Signal(shape(number), name=f"{name}_{c}", reset_less=True)
                with m.If(self.capture & (self.index == index)):
                    m.d.sync += fetched.eq(raw)
                with m.If(loads[DELAY[name]]):
                    if name == "bias":
                        # Whatever this wraps is undone when the accumulator is added.
                        m.d.sync += used.eq(
                            fetched - self.column_sums[c] * column_unit(cfg.precision)
                        )
                    else:
                        m.d.sync += used.eq(fetched)
                m.d.comb += self.channels[c][name].eq(used)
        return m
