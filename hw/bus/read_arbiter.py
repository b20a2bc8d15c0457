"""Two AXI4 read masters on one: merged burst by burst, data returned in order."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.bus.axi import AxiRead
from hw.config import Config
from hw.lib.register_queue import RegisterQueue


class ReadArbiter(wiring.Component):
    """Shares the read channels of ``bus`` between ``fetch`` (first choice) and ``load``.

    Addresses pass through one register, so a burst is never withdrawn or changed; a queue of
    ``outstanding + 1`` burst owners routes the data, which return in order (one ID). Data pass
    without delay.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        port = AxiRead(config.axi_bytes)
        super().__init__({"fetch": In(port), "load": In(port), "bus": Out(port)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.owners = owners = RegisterQueue(1, self.config.outstanding + 1)
        valid, payload = Signal(), Signal.like(self.bus.ar.p, reset_less=True)
        room, take, ending = Signal(), Signal(), Signal()
        fetch, load, bus = self.fetch, self.load, self.bus
        m.d.comb += [
            room.eq((~valid | bus.ar.ready) & owners.i.ready),
            fetch.ar.ready.eq(room),
            load.ar.ready.eq(room & ~fetch.ar.valid),
            take.eq(room & (fetch.ar.valid | load.ar.valid)),
            owners.i.valid.eq(take),
            owners.i.p.eq(fetch.ar.valid),
            bus.ar.valid.eq(valid),
            bus.ar.p.eq(payload),
            fetch.r.p.eq(bus.r.p),
            load.r.p.eq(bus.r.p),
            fetch.r.valid.eq(bus.r.valid & owners.o.valid & owners.o.p),
            load.r.valid.eq(bus.r.valid & owners.o.valid & ~owners.o.p),
            bus.r.ready.eq(owners.o.valid & Mux(owners.o.p, fetch.r.ready, load.r.ready)),
            ending.eq(bus.r.valid & bus.r.ready & bus.r.p.last),
            owners.o.ready.eq(ending),
        ]
        with m.If(~valid | bus.ar.ready):
            m.d.sync += [
                valid.eq(take),
                payload.eq(Mux(fetch.ar.valid, fetch.ar.p.as_value(), load.ar.p.as_value())),
            ]
        return m
