"""The DRAM model itself: data, order, pauses, injected responses, and every rule it checks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from sim.kit.bench import start

BYTES = 8
INPUTS = (
    "stall_rate", "stall_seed", "fault", "fault_addr", "load", "dump", "first", "count",
    "araddr", "arlen", "arsize", "arburst", "arvalid", "rready", "awaddr", "awlen", "awsize",
    "awburst", "awvalid", "wdata", "wstrb", "wlast", "wvalid", "bready", "fence_first",
)  # fmt: skip


async def fresh(dut: Any, rate: int = 0) -> None:
    """Reset with idle channels."""
    for name in INPUTS:
        getattr(dut, name).value = 0
    dut.stall_rate.value, dut.stall_seed.value = rate, 5
    dut.fence_last.value = (1 << len(dut.fence_last)) - 1
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


async def transfer(dut: Any, channel: str, limit: int = 200, **values: int) -> None:
    """Offer ``values`` on a channel until taken."""
    for name, value in values.items():
        getattr(dut, f"{channel}{name}").value = value
    getattr(dut, f"{channel}valid").value = 1
    for _ in range(limit):
        await ReadOnly()
        taken = bool(getattr(dut, f"{channel}ready").value)
        await FallingEdge(dut.clk)
        if taken:
            getattr(dut, f"{channel}valid").value = 0
            return
    raise AssertionError(f"{channel} never ready")


async def receive(dut: Any, channel: str, limit: int = 400) -> dict[str, int]:
    """Take one transfer of R or B."""
    names = ("data", "resp", "last") if channel == "r" else ("resp",)
    getattr(dut, f"{channel}ready").value = 1
    for _ in range(limit):
        await ReadOnly()
        valid = bool(getattr(dut, f"{channel}valid").value)
        got = {n: int(getattr(dut, f"{channel}{n}").value) for n in names}
        await FallingEdge(dut.clk)
        if valid:
            getattr(dut, f"{channel}ready").value = 0
            return got
    raise AssertionError(f"{channel} never valid")


def burst(addr: int, beats: int = 1, size: int = 3, kind: int = 1) -> dict[str, int]:
    """Values of an address channel."""
    return {"addr": addr, "len": beats - 1, "size": size, "burst": kind}


@cocotb.test()
async def data_and_order(dut: Any) -> None:
    """Bursts written and loaded come back, in order, with and without pauses, and dump right."""
    await start(dut)
    for rate in (0, 120):
        await fresh(dut, rate)
        content = bytes((7 * i + rate) & 255 for i in range(16 * BYTES))
        words = [content[i : i + BYTES] for i in range(0, len(content), BYTES)]
        Path("load.bin").write_bytes(b"".join(w[::-1] for w in words))
        dut.first.value, dut.count.value = 32, 16
        await FallingEdge(dut.clk)
        dut.load.value = 1
        await FallingEdge(dut.clk)
        dut.load.value = 0
        await transfer(dut, "aw", **burst(64 * BYTES, 4))
        for beat in range(4):
            await transfer(dut, "w", data=beat + 1, strb=255, last=int(beat == 3))
        assert (await receive(dut, "b"))["resp"] == 0
        await transfer(dut, "ar", **burst(32 * BYTES, 16))
        await transfer(dut, "ar", **burst(64 * BYTES, 4))
        beats = [await receive(dut, "r") for _ in range(20)]
        assert [b["data"] for b in beats[:16]] == [int.from_bytes(w, "little") for w in words]
        assert [b["data"] for b in beats[16:]] == [1, 2, 3, 4]
        assert [i for i, b in enumerate(beats) if b["last"]] == [15, 19]
        dut.first.value, dut.count.value = 64, 4
        dut.dump.value = 1
        await FallingEdge(dut.clk)
        dut.dump.value = 0
        lines = [x for x in Path("dump.hex").read_text().split() if not x.startswith("@")]
        assert [int(x, 16) for x in lines] == [1, 2, 3, 4]
        assert int(dut.violation.value) == 0


@cocotb.test()
async def injected_responses(dut: Any) -> None:
    """Only the burst that covers the address answers with the fault."""
    await start(dut)
    await fresh(dut)
    dut.fault.value, dut.fault_addr.value = 2, 8 * BYTES
    for addr, response in ((0, 0), (7 * BYTES, 2), (9 * BYTES, 0)):
        await transfer(dut, "ar", **burst(addr, 2))
        assert [(await receive(dut, "r"))["resp"] for _ in range(2)] == [response] * 2
        await transfer(dut, "aw", **burst(addr, 1 if response == 0 else 2))
        for beat in range(1 if response == 0 else 2):
            last = int(response == 0 or beat == 1)
            await transfer(dut, "w", data=0, strb=255, last=last)
        assert (await receive(dut, "b"))["resp"] == response


@cocotb.test()
async def broken_rules(dut: Any) -> None:
    """Each rule of the bus, broken on purpose, is named."""
    await start(dut)
    words = int(os.environ["POTVIT_DRAM_WORDS"])
    for channel in ("ar", "aw"):
        for values, rule in (
            (burst(4096 - BYTES, 2), 1), (burst(0, 1, kind=0), 2), (burst(0, 1, size=2), 2),
            (burst(3, 1), 3), (burst(words * BYTES, 1), 4), (burst(0, 1), 0),
        ):  # fmt: skip
            await fresh(dut)
            await transfer(dut, channel, **values)
            await FallingEdge(dut.clk)
            assert int(dut.violation.value) == rule, f"{channel} {values}"
        for first, last, rule in (
            (64, 127, 0), (65, 127, 11), (64, 126, 11), (64, 63, 11), (0, 64, 11),
        ):  # fmt: skip
            await fresh(dut)
            dut.fence_first.value, dut.fence_last.value = first, last
            await transfer(dut, channel, **burst(64, 64 // BYTES))
            await FallingEdge(dut.clk)
            assert int(dut.violation.value) == rule, f"{channel}, fence {first} to {last}"
    for channel, rule in (("ar", 5), ("aw", 6)):
        await fresh(dut, 255)
        for name, value in burst(0).items():
            getattr(dut, f"{channel}{name}").value = value
        await waiting(dut, channel)
        getattr(dut, f"{channel}addr").value = 64
        await FallingEdge(dut.clk)
        assert int(dut.violation.value) == rule
    await write_rules(dut)


async def write_rules(dut: Any) -> None:
    """Rules of the W channel."""
    cases = (({"strb": 255, "last": 0}, 8), ({"strb": 1, "last": 1}, 10))
    for values, rule in cases:
        await fresh(dut)
        await transfer(dut, "aw", **burst(0))
        await transfer(dut, "w", data=1, **values)
        await FallingEdge(dut.clk)
        assert int(dut.violation.value) == rule, f"{values}"
    await fresh(dut)
    dut.wvalid.value = 1
    await FallingEdge(dut.clk)
    assert int(dut.violation.value) == 9
    await fresh(dut)
    await transfer(dut, "aw", **burst(0))
    dut.stall_rate.value, dut.wstrb.value, dut.wlast.value = 255, 255, 1
    await waiting(dut, "w")
    dut.wdata.value = 9
    await FallingEdge(dut.clk)
    assert int(dut.violation.value) == 7


async def waiting(dut: Any, channel: str) -> None:
    """Offer a transfer and return in the first cycle in which it has waited for one."""
    getattr(dut, f"{channel}valid").value = 1
    for _ in range(200):
        await ReadOnly()
        ready = bool(getattr(dut, f"{channel}ready").value)
        await FallingEdge(dut.clk)
        if not ready:
            return
    raise AssertionError("never had to wait")
