"""cocotb bench of the LOAD unit: every destination, faults, stop and speed.

Token runs have a bench of their own (sim/benches/gather.py).
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from hw.config import Config
from hw.isa.instruction import HEADER_BITS, PAYLOAD_BITS, Instr, Mem, Op
from hw.isa.payload import Gather, Load, Payload
from sim.benches.dma import WINDOWS, Dma
from sim.benches.token_runs import Segment, random_run, segments_of
from sim.kit.bench import Pauses, Port, drive, serve, write_port
from sim.kit.bench_config import bench_config, bench_stalls

#: Kinds of instructions that a random sequence holds.
KINDS = ("stream", "norm", "gelu", "const", "gather")


def payload_of(body: Payload) -> int:
    """Payload of the unit's instruction port."""
    raw = int.from_bytes(Instr(body=body).pack(), "little") >> HEADER_BITS
    return raw | (body.op is Op.GATHER) << PAYLOAD_BITS - 1


class Model:
    """DRAM image, the instructions, and what each memory must receive in which order."""

    def __init__(self, config: Config, seed: int) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.image = bytearray()
        self.instructions: list[int] = []
        self.wanted: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in ("stream", "norm", "gelu", "const", "act", "residual")
        }
        self.got: dict[str, list[tuple[Any, ...]]] = {name: [] for name in self.wanted}
        self.level = 0

    def sizes(self) -> dict[str, tuple[Mem, int, int]]:
        """Destination code, bytes per word and words of each memory that LOAD fills."""
        c = self.config
        return {
            "stream": (Mem.STREAM, c.stream_bytes, c.stream_words),
            "norm": (Mem.NORM, c.norm_bytes, c.norm_words),
            "gelu": (Mem.GELU, 1, 256),
            "const": (Mem.CONST, c.const_bytes, 1 << 16),
        }

    def append(self, size: int, content: bytes | None) -> tuple[int, bytes]:
        """``content`` (random bytes) at the next place in DRAM, with a random gap before it."""
        bus = self.config.axi_bytes
        self.image += self.rng.bytes(bus * int(self.rng.integers(0, 5)))
        at = len(self.image)
        self.image += self.rng.bytes(size) if content is None else content[:size]
        self.image += bytes(-len(self.image) % bus)
        return at, bytes(self.image[at : at + size])

    def load(self, name: str, words: int, addr: int, content: bytes | None = None) -> None:
        """Append a LOAD of random bytes, or of the start of ``content``."""
        dest, size, _ = self.sizes()[name]
        at, raw = self.append(words * size, content)
        beats = -(-words * size // self.config.axi_bytes)
        self.instructions.append(
            payload_of(Load(dest=dest, addr=addr, words=words, beats=beats, dram=at))
        )
        for i in range(words):
            word = int.from_bytes(raw[i * size : (i + 1) * size], "little")
            self.wanted[name].append((addr + i, word) if name != "const" else (word,))

    def gather(self, run: Gather, segments: Iterable[Segment], at: int | None = None) -> None:
        """Append a GATHER of ``segments``, in this order, from ``at`` (random bytes) on."""
        c = self.config
        if at is None:
            at, _ = self.append((run.runs - 1) * run.pitch + run.beats * c.axi_bytes, None)
        self.instructions.append(payload_of(replace(run, dram=at + run.dram)))
        act = run.mem is Mem.ACT
        size = c.act_bytes if act else c.cols
        for segment in segments:
            raw = bytes(self.image[at + segment.dram : at + segment.dram + segment.bytes_])
            if run.flip:
                raw = bytes(b ^ 0x80 for b in raw)
            for i in range(-(-len(raw) // size)):
                word = int.from_bytes(raw[i * size : (i + 1) * size], "little")
                place = (segment.addr + i, segment.bank) if act else (segment.addr + i,)
                self.wanted[run.mem.name.lower()].append((*place, word))

    def random(self, count: int) -> None:
        """Append random instructions of every kind."""
        c, rng = self.config, self.rng
        for n in range(count):
            name = KINDS[n if n < len(KINDS) else rng.integers(len(KINDS))]
            if name == "gather":
                run = random_run(rng, c)
                self.gather(run, segments_of(run, c))
                continue
            _, size, depth = self.sizes()[name]
            most = min(depth, 256, 6 * 4096 // size)
            words = int(rng.integers(1, max(2, most if n % 2 else most // 8 + 1)))
            self.load(name, words, int(rng.integers(0, depth - words + 1)))

    def network(self, tensors: dict[str, list[bytes]]) -> None:
        """Append loads of a network's own bytes, as much of each as the memories hold."""
        for name, (_, size, depth) in self.sizes().items():
            for n, content in enumerate(tensors[name]):
                words = min(len(content) // size, depth, 4096 // size + 1)
                assert words, f"{len(content)} bytes of {name} are no word of {size}"
                self.load(name, words, min(n, depth - words), content)

    def takers(self) -> dict[str, Callable[[int], None]]:
        """One function per output that splits and records a payload."""
        c = self.config
        bits = c.addr_bits

        def split(name: str, *widths: int) -> Callable[[int], None]:
            def take(payload: int) -> None:
                fields = []
                for width in widths:
                    fields.append(payload & ((1 << width) - 1))
                    payload >>= width
                self.got[name].append((*fields, payload))

            return take

        return {
            "stream": split("stream", bits["stream"]),
            "norm": split("norm", bits["norm"]),
            "gelu": split("gelu", 8),
            "act": split("act", bits["act"], (c.rows - 1).bit_length()),
            "residual": split("residual", bits["residual"]),
        }

    def check(self) -> int:
        """Compare everything that was written, in order; return the number of words."""
        for name, wanted in self.wanted.items():
            got = self.got[name]
            for i, (g, w) in enumerate(zip(got, wanted, strict=False)):
                assert g == w, f"{name} write {i}: got {g}, want {w}"
            assert len(got) == len(wanted), f"{name}: {len(got)} writes, want {len(wanted)}"
        total = sum(map(len, self.wanted.values()))
        assert total, "nothing compared"
        return total


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
