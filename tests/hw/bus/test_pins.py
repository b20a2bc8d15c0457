"""AXI channels as flat ports: the specification's names, each field in its direction."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.bus.axi import AxiLite, AxiRead, AxiWrite
from hw.bus.pins import connect_pins, constant_members, drive_constants, pin_members


class Through(wiring.Component):
    """A master's read channels in, the same as pins out, with fewer addresses and wider IDs."""

    def __init__(self):
        pins = pin_members("m", AxiRead(4), {"addr": 32, "id": 4})
        constants = constant_members("m", {"qos": 4})
        super().__init__({"bus": In(AxiRead(4)), **pins, **constants})

    def elaborate(self, platform):
        m = Module()
        connect_pins(m, self, "m", wiring.flipped(self.bus))
        drive_constants(m, self, "m", {"qos": 9})
        return m


def test_names_and_directions():
    pins = pin_members("m_axi", AxiWrite(4)) | pin_members("s_axil", AxiLite().flip())
    for name in ("awaddr", "awlen", "awsize", "awburst", "awvalid", "wdata", "wstrb", "wlast"):
        assert pins[f"m_axi_{name}"].flow == Out, name
    for name in ("awready", "wready", "bresp", "bvalid"):
        assert pins[f"m_axi_{name}"].flow == In, name
    for name in ("awaddr", "wdata", "wstrb", "bready", "araddr", "rready"):
        assert pins[f"s_axil_{name}"].flow == In, name
    for name in ("awready", "bresp", "bvalid", "rdata", "rresp", "rvalid"):
        assert pins[f"s_axil_{name}"].flow == Out, name


def test_every_field_passes():
    dut = Through()

    async def bench(ctx):
        ctx.set(dut.bus.ar.payload, {"addr": 0x12_3456_7890, "len": 7, "size": 2, "burst": 1})
        ctx.set(dut.bus.ar.valid, 1)
        assert ctx.get(dut.m_araddr) == 0x3456_7890
        assert len(dut.m_arid) == len(dut.m_rid) == 4
        assert (ctx.get(dut.m_arqos), ctx.get(dut.m_awqos)) == (9, 9)
        assert (ctx.get(dut.m_arlen), ctx.get(dut.m_arsize), ctx.get(dut.m_arburst)) == (7, 2, 1)
        assert ctx.get(dut.m_arvalid)
        assert not ctx.get(dut.bus.ar.ready)
        ctx.set(dut.m_arready, 1)
        assert ctx.get(dut.bus.ar.ready)
        ctx.set(dut.m_rdata, 0xCAFE)
        ctx.set(dut.m_rresp, 2)
        ctx.set(dut.m_rvalid, 1)
        beat = ctx.get(dut.bus.r.payload)
        assert (beat.data, beat.resp, ctx.get(dut.bus.r.valid)) == (0xCAFE, 2, 1)
        ctx.set(dut.bus.r.ready, 1)
        assert ctx.get(dut.m_rready)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
