"""Every rule of the accelerator's buses as one component, to watch its Verilog ports."""

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import AxiLite, AxiRead, AxiWrite
from hw.config import Config
from hw.rules.axi_lite_rules import AxiLiteRules
from hw.rules.axi_read_rules import AxiReadRules
from hw.rules.axi_write_rules import AxiWriteRules
from hw.rules.rule_set import Rule


class PortRules(wiring.Component):
    """Watches ``m_axi_*`` and ``s_axil_*`` of the accelerator of ``config``, and drives neither.

    The host and the DRAM are watched as well: a broken rule of theirs is a fault of the bench.

    Members
    -------
    broken : bit n stays high once rule n of ``rules`` has been broken.
    seen : bit n stays high once situation n of ``covers`` has occurred.
    Further inputs have the names of the accelerator's ports.
    """

    def __init__(self, config: Config) -> None:
        size = config.axi_bytes
        #: By the prefix of the ports: the channels, as signals of our own.
        self.buses = {"m_axi": (AxiRead(size).create(path=("read",)),
                                AxiWrite(size).create(path=("write",))),
                      "s_axil": (AxiLite().create(path=("host",)),)}  # fmt: skip
        (read, write), (host,) = self.buses["m_axi"], self.buses["s_axil"]
        self.sets = {
            "read": AxiReadRules(read, size, config.outstanding + 1),
            "write": AxiWriteRules(write, size, config.outstanding),
            "host": AxiLiteRules(host),
        }
        self.rules: list[tuple[str, Rule]] = [
            (name, rule) for name, rules in self.sets.items() for rule in rules.rules
        ]
        self.covers = [
            f"{name}.{what}" for name, rules in self.sets.items() for what in rules.covers
        ]
        pins = {name: In(len(signal)) for name, signal in self._pins()}
        super().__init__({**pins, "broken": Out(len(self.rules)), "seen": Out(len(self.covers))})

    def _pins(self) -> list[tuple[str, Any]]:
        """Name of each port and the signal that follows it."""
        found = []
        for prefix, buses in self.buses.items():
            for bus in buses:
                for channel in bus.signature.members:
                    port = getattr(bus, channel)
                    fields = {name: port.payload[name] for name in port.payload.shape().members}
                    fields |= {"valid": port.valid, "ready": port.ready}
                    found += [(f"{prefix}_{channel}{name}", s) for name, s in fields.items()]
        return found

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for name, signal in self._pins():
            m.d.comb += signal.eq(getattr(self, name))
        for name, rules in self.sets.items():
            m.submodules[name] = rules
        covers = [seen for rules in self.sets.values() for seen in rules.covers.values()]
        m.d.sync += [
            self.broken.eq(self.broken | ~Cat(rule.holds for _, rule in self.rules)),
            self.seen.eq(self.seen | Cat(covers)),
        ]
        return m
