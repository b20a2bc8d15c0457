"""cocotb bench of the LOAD unit: every destination, faults, stop and speed.

Token runs have a bench of their own (sim/benches/gather.py).
"""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from hw.isa.instruction import Mem
from hw.isa.payload import Load
from sim.benches.dma import WINDOWS, Dma
from sim.benches.load_model import Model, payload_of
from sim.kit.bench import Pauses, Port, drive, serve, write_port
from sim.kit.bench_config import bench_config, bench_stalls


async def const_fifo(dut: Any, model: Model, pause: Pauses) -> None:
    """The constant FIFO: never full when a row comes; pops at random."""
    port, room = Port(dut, "load__const"), dut.load__const_room
    port.ready.value = 1
    while True:
        room.value = model.config.const_rows - model.level
        await ReadOnly()
        push = bool(port.valid.value)
        if push:
            assert model.level < model.config.const_rows, "a row came into the full FIFO"
            model.got["const"].append((int(port.payload.value),))
        await FallingEdge(dut.clk)
        model.level += push - (model.level > 0 and not pause())


async def set_up(
    dut: Any,
    model: Model,
    stalls: float,
    seed: int,
    *,
    limit: int | None = None,
    window: str = "high",
) -> Dma:
    """Start everything around the unit."""
    unit = Dma(dut, "load", model.config.axi_bytes, bytes(model.image), window)
    await unit.start("r", limit)
    unit.memory.start_reads(stalls, seed)
    take = model.takers()
    for n, name in enumerate(("stream", "norm", "act", "residual")):
        pauses = Pauses(stalls, seed + 10 + n)
        cocotb.start_soon(serve(dut, f"load__{name}_write", take[name], pauses))
    cocotb.start_soon(write_port(dut, "load__gelu_write", take["gelu"]))
    cocotb.start_soon(const_fifo(dut, model, Pauses(0.8 if stalls else 0.0, seed + 20)))
    cocotb.start_soon(drive(dut, "load__instr", model.instructions, Pauses(stalls, seed + 21)))
    return unit


@cocotb.test()
async def every_destination(dut: Any) -> None:
    """Random instructions of every kind, ragged ones across 4 KB pages, more constants than fit."""
    model = Model(bench_config(), 3)
    model.random(25)
    model.load("const", 3 * model.config.const_rows, 0)
    unit = await set_up(dut, model, bench_stalls(), 11)
    await unit.wait_done(len(model.instructions))
    model.check()
    assert unit.crossed_pages(), "no burst near a 4 KB boundary"


@cocotb.test(skip="POTVIT_BENCH_TENSORS" not in os.environ)
@cocotb.parametrize(window=list(WINDOWS))
async def network_tensors(dut: Any, window: str) -> None:
    """Weights, parameters, tables and constants of a network, pickled by the caller."""
    model = Model(bench_config(), 9)
    model.network(pickle.loads(Path(os.environ["POTVIT_BENCH_TENSORS"]).read_bytes()))
    unit = await set_up(dut, model, bench_stalls(), 19, window=window)
    await unit.wait_done(len(model.instructions))
    model.check()
    assert all(model.wanted[name] for name in model.sizes()), "a destination received nothing"


@cocotb.test()
async def full_bus_rate(dut: Any) -> None:
    """Stream loads take a beat per cycle, over the change from one to the next as well."""
    config = bench_config()
    model = Model(config, 4)
    beats = max(1, config.stream_bytes // config.axi_bytes) * 64
    words = beats * config.axi_bytes // config.stream_bytes
    for n in range(4):
        model.load("stream", words, n)
    unit = await set_up(dut, model, 0.0, 1)
    cycles = await unit.wait_done(4)
    model.check()
    slower = max(1, config.axi_bytes // config.stream_bytes)
    if config.outstanding == 1:  # the bus idles between bursts
        slower += -(-8 // config.burst_beats)
    assert cycles <= 4 * (beats * slower + 2) + 20, f"{cycles} cycles for {4 * beats} beats"


@cocotb.test()
async def outside_the_window(dut: Any) -> None:
    """A range that ends one byte beyond the window: a fault and not one address."""
    model = Model(bench_config(), 5)
    model.load("stream", 8, 0)
    unit = await set_up(dut, model, 0.0, 1, limit=len(model.image) - 1)
    await unit.refuses_window()


@cocotb.test()
async def illegal_instructions(dut: Any) -> None:
    """Every illegal field raises the fault, nothing is written or hangs."""
    config = bench_config()
    beats = max(1, config.stream_bytes // config.axi_bytes)
    good = Load(dest=Mem.STREAM, words=1, beats=beats)
    bad = [
        replace(good, dest=Mem.VALUE),
        replace(good, addr=config.stream_words),
        replace(good, words=0),
        replace(good, beats=0),
        replace(good, dram=1),
        replace(good, words=2 * max(1, config.axi_bytes // 8)),
    ]
    model = Model(config, 6)
    model.image = bytearray(8192)
    unit = await set_up(dut, model, 0.0, 1)
    await unit.refuses(map(payload_of, bad), lambda: True)


@cocotb.test()
async def error_response(dut: Any) -> None:
    """SLVERR raises the bus fault; what is outstanding is taken, nothing new starts."""
    model = Model(bench_config(), 7)
    model.random(10)
    unit = await set_up(dut, model, bench_stalls(), 13)
    await unit.ends_in_bus_fault(len(model.image) // 2, response=2)


@cocotb.test()
async def stop_at_any_time(dut: Any) -> None:
    """After ``stop`` the addresses shown are held, the data taken, then all is quiet."""
    model = Model(bench_config(), 8)
    model.random(10)
    unit = await set_up(dut, model, bench_stalls(), 17)
    await unit.stops_after(300)
