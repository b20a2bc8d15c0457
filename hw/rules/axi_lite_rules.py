"""Rules of AXI4-Lite between one master and one slave."""

from typing import Any

from amaranth.hdl import Signal

from hw.bus.axi import RESP_DECERR, RESP_OKAY, RESP_SLVERR
from hw.rules.rule_set import RuleSet, Side
from hw.rules.stream_rules import held


class AxiLiteRules(RuleSet):
    """Rules of `hw.bus.axi.AxiLite` signals ``bus``; ``most`` accesses a direction at once."""

    def __init__(self, bus: Any, most: int = 2) -> None:
        super().__init__()
        for name in ("aw", "w", "ar"):
            held(self, name, getattr(bus, name), "A3.2.1, A3.2.2", Side.MASTER)
        for name in ("b", "r"):
            held(self, name, getattr(bus, name), "A3.2.1, A3.2.2", Side.SLAVE)
        m = self.m
        pending = {
            name: Signal(range(most + 1), name=f"{name}_pending") for name in ("aw", "w", "ar")
        }
        for name, answer in (("aw", bus.b), ("w", bus.b), ("ar", bus.r)):
            port, count = getattr(bus, name), pending[name]
            m.d.sync += count.eq(count + (port.valid & port.ready) - (answer.valid & answer.ready))
            self.keep(f"{name}_in_bounds", f"at most {most} here", Side.SLAVE,
                      ~(port.valid & port.ready) | (count != most))  # fmt: skip
        self.pending = pending
        self.keep("b_after_aw_and_w", "A3.3.1", Side.SLAVE,
                  ~bus.b.valid | ((pending["aw"] != 0) & (pending["w"] != 0)))  # fmt: skip
        self.keep("r_after_ar", "A3.3.1", Side.SLAVE, ~bus.r.valid | (pending["ar"] != 0))
        for name in ("b", "r"):
            port = getattr(bus, name)
            known = sum(port.payload.resp == code for code in (RESP_OKAY, RESP_SLVERR, RESP_DECERR))
            self.keep(f"{name}_no_exclusive_answer", "B1.1.1", Side.SLAVE, ~port.valid | known)
        written, read = bus.b.valid & bus.b.ready, bus.r.valid & bus.r.ready
        self.reach("write_answered", written & (bus.b.payload.resp == RESP_OKAY))
        self.reach("write_refused", written & (bus.b.payload.resp == RESP_SLVERR))
        self.reach("read_answered", read & (bus.r.payload.resp == RESP_OKAY))
        self.reach("w_before_aw", (pending["w"] == 1) & (pending["aw"] == 0))
        self.reach("aw_before_w", (pending["aw"] == 1) & (pending["w"] == 0))
