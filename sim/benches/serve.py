"""A simulated system that programs outside it drive: registers and DRAM over a local socket.

A request is 16 bytes, `REQUEST`: operation, a number, an address; data of a ``P`` follow. Simulated
time passes only while a request is in work, so a client may take its time.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from sim.system.host import CLOCK_NS, Host
from sim.system.served import ANSWER, PLAN, REQUEST, SOCKET, Operation, receive

#: Cycles that a pause takes at most; the interrupt ends it sooner.
PAUSE = 2000
#: Cycles after which a reset that is brought to the clock has ended for certain.
RELEASE = 4
#: Seconds between two looks whether whoever started the simulation is still there.
LOOK = 2.0


@cocotb.test()
async def serve(dut: Any) -> None:
    """Answer one client after the other until one says that it is enough."""
    folder = Path(os.environ["POTVIT_JOB"])
    plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    host = Host(dut, plan["registers"], plan["bus"])
    await host.reset()
    for _ in range(RELEASE):
        await FallingEdge(dut.clk)
    with socket.socket(socket.AF_UNIX) as listener:
        partial = folder / f"{SOCKET}.partial"
        listener.bind(str(partial))
        listener.listen()
        partial.rename(folder / SOCKET)  # whoever waits for it may connect
        while True:
            client = _waited(listener)
            with client:
                if await _session(host, client):
                    break
    assert not int(dut.violation.value), f"AXI rule {int(dut.violation.value)} broken"


def _waited(listener: socket.socket) -> socket.socket:
    """The next client; ends the simulation when nobody is left to send one."""
    listener.settimeout(LOOK)
    parent = os.getppid()
    while True:
        try:
            client, _ = listener.accept()
            client.settimeout(None)
            return client
        except TimeoutError:
            assert os.getppid() == parent, "whoever started the simulation has gone"


async def _session(host: Host, client: socket.socket) -> bool:
    """Answer one client until it leaves; whether it said that it is enough."""
    while True:
        request = receive(client, REQUEST.size)
        if request is None:
            return False
        operation, number, address = REQUEST.unpack(request)
        if operation == Operation.QUIT:
            return True
        client.sendall(await _answer(host, client, operation, number, address))


async def _answer(
    host: Host, client: socket.socket, operation: int, number: int, address: int
) -> bytes:
    if operation == Operation.READ:
        return ANSWER.pack(await host.read_at(address))
    if operation == Operation.WRITE:
        await host.write_at(address, number)
        return ANSWER.pack(0)
    if operation == Operation.GET:
        return await _dram(host, address, number)
    if operation == Operation.PUT:
        data = receive(client, number)
        assert data is not None, "a client left in the middle of its data"
        await _fill(host, address, data)
        return ANSWER.pack(0)
    assert operation == Operation.PAUSE, f"operation {operation}"
    if not host.dut.irq.value:
        await First(RisingEdge(host.dut.irq), Timer(PAUSE * CLOCK_NS, "ns"))
        await FallingEdge(host.dut.clk)
    return ANSWER.pack(int(host.dut.irq.value))


async def _dram(host: Host, address: int, size: int) -> bytes:
    """``size`` bytes at any address."""
    first = address // host.bus * host.bus
    return (await host.dump(first, address + size - first))[address - first :]


async def _fill(host: Host, address: int, data: bytes) -> None:
    """Write ``data`` at any address; bytes beside it in the same words stay."""
    first, last = address // host.bus * host.bus, (address + len(data)) // host.bus * host.bus
    head = (await host.dump(first, host.bus))[: address - first] if first < address else b""
    tail = b""
    if last < address + len(data):
        tail = (await host.dump(last, host.bus))[address + len(data) - last :]
    await host.load(first, head + data + tail)
