"""cocotb bench of the STORE unit: every source, padding, faults, stop and speed.

Token runs have a bench of their own (sim/benches/scatter.py).
"""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from hw.config import Config
from hw.dma.store_reader import SOURCES, beats_per_word, word_bytes
from hw.isa.instruction import HEADER_BITS, PAYLOAD_BITS, Instr, Mem, Op
from hw.isa.payload import Payload, Scatter, Store
from sim.benches.dma import WINDOWS, Dma
from sim.benches.token_runs import Segment
from sim.kit.axi_model import ORDERS, AxiMemory
from sim.kit.bench import Pauses, drive, read_request
from sim.kit.bench_config import bench_config, bench_stalls

UNTOUCHED = 0xAA


def payload_of(body: Payload) -> int:
    """Payload of the unit's instruction port."""
    raw = int.from_bytes(Instr(body=body).pack(), "little") >> HEADER_BITS
    return raw | (body.op is Op.SCATTER) << PAYLOAD_BITS - 1


class Model:
    """Memory contents, the instructions, and the DRAM bytes they must leave."""

    def __init__(self, config: Config, seed: int) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.words: dict[tuple[str, int], int] = {}
        self.image = bytearray()
        self.touched: set[int] = set()
        self.instructions: list[int] = []

    def word(self, source: str, addr: int) -> int:
        """Contents of a word, made up when first asked for."""
        key = source, addr
        if key not in self.words:
            raw = self.rng.bytes(word_bytes(self.config)[source])
            self.words[key] = int.from_bytes(raw, "little")
        return self.words[key]

    def store(self, source: str, addr: int, words: int) -> None:
        """Append a STORE after a random gap."""
        bus = self.config.axi_bytes
        self.image += bytes([UNTOUCHED]) * (bus * int(self.rng.integers(0, 5)))
        at = len(self.image)
        body = Store(src=SOURCES[source], addr=addr, words=words, dram=at)
        self.instructions.append(payload_of(body))
        size = beats_per_word(self.config)[source] * bus
        for i in range(words):
            self.image += self.word(source, addr + i).to_bytes(size, "little")
        self.touched.update(range(at, len(self.image)))

    def scatter(self, run: Scatter, segments: Iterable[Segment], at: int | None = None) -> None:
        """Append a SCATTER of ``segments``, in this order, from ``at`` (a new place) on."""
        bus, size = self.config.axi_bytes, self.config.cols
        if at is None:
            at = self.reserve((run.runs - 1) * run.pitch + run.beats * bus)
        self.instructions.append(payload_of(replace(run, dram=at + run.dram)))
        for n in range(run.runs):
            first = at + run.dram + n * run.pitch
            self.image[first : first + run.beats * bus] = bytes(run.beats * bus)
            self.touched.update(range(first, first + run.beats * bus))
        for segment in segments:
            for i in range(segment.bytes_ // size):
                first = at + segment.dram + i * size
                word = self.word("residual", segment.addr + i)
                self.image[first : first + size] = word.to_bytes(size, "little")

    def reserve(self, size: int) -> int:
        """A new place of ``size`` bytes, behind a random gap."""
        gap = self.config.axi_bytes * int(self.rng.integers(0, 5))
        at = len(self.image) + gap
        self.image += bytes([UNTOUCHED]) * (gap + size)
        return at

    def network(self, tensors: dict[str, list[bytes]]) -> None:
        """Append stores of a network's own tensors, as much of each as the memories hold.

        What does not fill a word ends in zeros.
        """
        for name, size in word_bytes(self.config).items():
            depth, at = getattr(self.config, f"{name}_words"), 0
            for content in tensors[name]:
                words = min(-(-len(content) // size), depth - at, 4096 // size + 1)
                if not words:
                    continue
                for i in range(words):
                    raw = content[i * size : (i + 1) * size]
                    self.words[name, at + i] = int.from_bytes(raw, "little")
                self.store(name, at, words)
                at += words
            assert at, f"no tensor fills a word of {name}"

    def random(self, count: int) -> None:
        """Append stores of every source, long and short."""
        names = list(SOURCES)
        for n in range(count):
            name = names[n % len(names)]
            depth = getattr(self.config, f"{name}_words")
            size = beats_per_word(self.config)[name] * self.config.axi_bytes
            most = min(depth, max(2, (4096 if n < len(names) else 500) // size))
            words = int(self.rng.integers(1, most + 1))
            self.store(name, int(self.rng.integers(0, depth - words + 1)), words)

    def check(self, memory: AxiMemory) -> int:
        """Compare the whole window, gaps included; return the bytes written."""
        wrong = [i for i, (g, w) in enumerate(zip(memory.data, self.image, strict=True)) if g != w]
        assert not wrong, f"{len(wrong)} bytes differ, the first at {wrong[0]}"
        assert memory.written == self.touched, "bytes written that no instruction names"
        assert self.touched, "nothing compared"
        return len(self.touched)


async def set_up(
    dut: Any,
    model: Model,
    stalls: float,
    seed: int,
    *,
    limit: int | None = None,
    window: str = "high",
    order: str = "free",
) -> Dma:
    """Start everything around the unit."""
    blank = bytes([UNTOUCHED]) * len(model.image)
    unit = Dma(dut, "store", model.config.axi_bytes, blank, window)
    await unit.start("b", limit)
    unit.memory.start_writes(stalls, seed, order)
    for n, name in enumerate(SOURCES):
        pauses = Pauses(stalls, seed + 10 + n)
        fetch = functools.partial(model.word, name)
        cocotb.start_soon(read_request(dut, f"store__{name}_read", fetch, pauses))
    cocotb.start_soon(drive(dut, "store__instr", model.instructions, Pauses(stalls, seed + 20)))
    return unit


@cocotb.test()
async def every_source(dut: Any) -> None:
    """Stores of every memory, long and short, across 4 KB pages; gaps stay as they were."""
    model = Model(bench_config(), 3)
    model.random(18)
    unit = await set_up(dut, model, bench_stalls(), 11)
    await unit.wait_done(len(model.instructions))
    model.check(unit.memory)
    assert unit.crossed_pages(), "no 4 KB boundary was near"


@cocotb.test()
@cocotb.parametrize(order=ORDERS[1:])
async def handshake_orders(dut: Any, order: str) -> None:
    """Slaves that accept addresses first, with their data or only after them."""
    model = Model(bench_config(), 10)
    model.random(6)
    unit = await set_up(dut, model, bench_stalls(), 23, order=order)
    await unit.wait_done(len(model.instructions))
    model.check(unit.memory)
    assert len(unit.memory.bursts) > 1


@cocotb.test(skip="POTVIT_BENCH_TENSORS" not in os.environ)
@cocotb.parametrize(window=list(WINDOWS))
async def network_tensors(dut: Any, window: str) -> None:
    """Activations, keys, values, logits, codes, residuals of a network, pickled by the caller."""
    model = Model(bench_config(), 9)
    model.network(pickle.loads(Path(os.environ["POTVIT_BENCH_TENSORS"]).read_bytes()))
    unit = await set_up(dut, model, bench_stalls(), 19, window=window)
    await unit.wait_done(len(model.instructions))
    model.check(unit.memory)


@cocotb.test()
@cocotb.parametrize(source=["residual", "stream", "act"])
async def full_bus_rate(dut: Any, source: str) -> None:
    """A beat per cycle for words of one beat and of many."""
    model = Model(bench_config(), 4)
    per_word = beats_per_word(model.config)[source]
    beats = 192 // per_word * per_word
    model.store(source, 0, beats // per_word)
    unit = await set_up(dut, model, 0.0, 1)
    cycles = await unit.wait_done(1)
    model.check(unit.memory)
    gaps = 8 * len(unit.memory.bursts) if model.config.outstanding == 1 else 0
    assert cycles <= beats + gaps + 30, f"{cycles} cycles for {beats} beats"


@cocotb.test()
async def outside_the_window(dut: Any) -> None:
    """A range that ends one byte beyond the window: a fault and not one address."""
    model = Model(bench_config(), 5)
    model.store("logit", 0, 8)
    unit = await set_up(dut, model, 0.0, 1, limit=len(model.image) - 1)
    await unit.refuses_window()


@cocotb.test()
async def illegal_instructions(dut: Any) -> None:
    """Every illegal field raises the fault and issues nothing."""
    config = bench_config()
    good = Store(src=Mem.OUT, words=1)
    bad = [
        replace(good, src=Mem.GELU),
        replace(good, addr=config.out_words),
        replace(good, words=0),
        replace(good, dram=2),
    ]
    model = Model(config, 6)
    model.image = bytearray(8192)
    unit = await set_up(dut, model, 0.0, 1)
    await unit.refuses(map(payload_of, bad), lambda: not unit.memory.bursts)


@cocotb.test()
async def error_response(dut: Any) -> None:
    """DECERR raises the bus fault; bursts under way are completed, nothing new starts."""
    model = Model(bench_config(), 7)
    model.random(12)
    unit = await set_up(dut, model, bench_stalls(), 13)
    await unit.ends_in_bus_fault(sorted(model.touched)[len(model.touched) // 2], response=3)


@cocotb.test()
async def stop_at_any_time(dut: Any) -> None:
    """After ``stop`` bursts under way are completed, then all is quiet."""
    model = Model(bench_config(), 8)
    model.random(12)
    unit = await set_up(dut, model, bench_stalls(), 17)
    await unit.stops_after(230)
    written = unit.memory.written - model.touched
    assert not written, "bytes written that no instruction names"
