"""cocotb bench of the STORE unit: every source, padding, faults, stop and speed."""

from __future__ import annotations

import functools
import os
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from hw.config import Config
from hw.isa import HEADER_BITS, Instr, Mem, Op
from hw.store_reader import SOURCES, beats_per_word, word_bytes
from sim.axi_model import AxiMemory
from sim.bench import Pauses, drive, read_request, start
from sim.bench_config import bench_config

BASE = 0x98_7654_2000 - 0x400
UNTOUCHED = 0xAA


def payload_of(**fields: int) -> int:
    """Payload of a STORE."""
    raw = Instr(op=Op.STORE, fields=fields).pack()
    return int.from_bytes(raw, "little") >> HEADER_BITS


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
        self.instructions.append(payload_of(src=SOURCES[source], addr=addr, words=words, dram=at))
        size = beats_per_word(self.config)[source] * bus
        for i in range(words):
            self.image += self.word(source, addr + i).to_bytes(size, "little")
        self.touched.update(range(at, len(self.image)))

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
    dut: Any, model: Model, stalls: float, seed: int, limit: int | None = None
) -> AxiMemory:
    """Start everything around the unit."""
    blank = bytes([UNTOUCHED]) * len(model.image)
    memory = AxiMemory(dut, "store__axi", model.config.axi_bytes, BASE, blank)
    for name in ("instr__valid", "stop", "axi__b__valid"):
        getattr(dut, f"store__{name}").value = 0
    dut.store__base.value = BASE
    dut.store__limit.value = len(model.image) if limit is None else limit
    await start(dut)
    memory.start_writes(stalls, seed)
    for n, name in enumerate(SOURCES):
        pauses = Pauses(stalls, seed + 10 + n)
        fetch = functools.partial(model.word, name)
        cocotb.start_soon(read_request(dut, f"store__{name}_read", fetch, pauses))
    cocotb.start_soon(drive(dut, "store__instr", model.instructions, Pauses(stalls, seed + 20)))
    return memory


async def wait_done(dut: Any, wanted: int, memory: AxiMemory) -> int:
    """Cycles until ``wanted`` done pulses; then idle, without fault or further pulses."""
    done = cycles = 0
    while done < wanted:
        await ReadOnly()
        for fault in ("fault", "window_fault", "bus_fault"):
            assert not getattr(dut, f"store__{fault}").value, f"unexpected {fault}"
        done += int(dut.store__done.value)
        cycles += 1
        assert cycles < 300_000, f"{done} of {wanted} instructions done"
        await FallingEdge(dut.clk)
    assert memory.outstanding == 0, "done before the last response"
    for _ in range(10):
        await ReadOnly()
        assert not dut.store__done.value, "more done pulses than instructions"
        assert not dut.store__busy.value, "busy after the last instruction"
        await FallingEdge(dut.clk)
    return cycles


def stalls() -> float:
    """Rate of random pauses of this run."""
    return float(os.environ.get("POTVIT_BENCH_STALLS", "0.3"))


@cocotb.test()
async def every_source(dut: Any) -> None:
    """Stores of every memory, long and short, across 4 KB pages; gaps stay as they were."""
    model = Model(bench_config(), 3)
    model.random(18)
    memory = await set_up(dut, model, stalls(), 11)
    await wait_done(dut, len(model.instructions), memory)
    model.check(memory)
    assert len({addr // 4096 for addr, _ in memory.bursts}) > 1, "no 4 KB boundary was near"


@cocotb.test()
@cocotb.parametrize(source=["residual", "stream", "act"])
async def full_bus_rate(dut: Any, source: str) -> None:
    """A beat per cycle for words of one beat and of many."""
    model = Model(bench_config(), 4)
    per_word = beats_per_word(model.config)[source]
    beats = 192 // per_word * per_word
    model.store(source, 0, beats // per_word)
    memory = await set_up(dut, model, 0.0, 1)
    cycles = await wait_done(dut, 1, memory)
    model.check(memory)
    gaps = 8 * len(memory.bursts) if model.config.outstanding == 1 else 0
    assert cycles <= beats + gaps + 30, f"{cycles} cycles for {beats} beats"


@cocotb.test()
async def outside_the_window(dut: Any) -> None:
    """A range that ends one byte beyond the window: a fault and not one address."""
    model = Model(bench_config(), 5)
    model.store("logit", 0, 8)
    memory = await set_up(dut, model, 0.0, 1, limit=len(model.image) - 1)
    for _ in range(200):
        await FallingEdge(dut.clk)
    assert dut.store__window_fault.value, "no window fault"
    assert not memory.bursts, "an address was issued"
    assert not dut.store__done.value
    assert dut.store__quiet.value


@cocotb.test()
async def illegal_instructions(dut: Any) -> None:
    """Every illegal field raises the fault and issues nothing."""
    config = bench_config()
    good = {"src": Mem.OUT, "addr": 0, "words": 1, "dram": 0}
    bad = [
        payload_of(**good | {"src": Mem.GELU}),
        payload_of(**good | {"addr": config.out_words}),
        payload_of(**good | {"words": 0}),
        payload_of(**good | {"dram": 2}),
    ]
    model = Model(config, 6)
    model.image = bytearray(8192)
    memory = await set_up(dut, model, 0.0, 1)
    await FallingEdge(dut.clk)
    for n, payload in enumerate(bad):
        await drive(dut, "store__instr", [payload], lambda: False)
        for _ in range(100):
            await FallingEdge(dut.clk)
        assert dut.store__fault.value, f"no fault for illegal instruction {n}"
        assert dut.store__quiet.value, f"not quiet after illegal instruction {n}"
        assert not memory.bursts, "an address was issued"
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)
        assert not dut.store__fault.value, "the fault outlives a reset"


@cocotb.test()
async def error_response(dut: Any) -> None:
    """DECERR raises the bus fault; bursts under way are completed, nothing new starts."""
    model = Model(bench_config(), 7)
    model.random(12)
    memory = await set_up(dut, model, stalls(), 13)
    at = BASE + sorted(model.touched)[len(model.touched) // 2]
    memory.errors[at] = 3
    await memory.until_quiet(dut.store__quiet)
    assert dut.store__bus_fault.value, "no bus fault"
    assert memory.covers(at), "the fault came too early"


@cocotb.test()
async def stop_at_any_time(dut: Any) -> None:
    """After ``stop`` bursts under way are completed, then all is quiet."""
    model = Model(bench_config(), 8)
    model.random(12)
    memory = await set_up(dut, model, stalls(), 17)
    for _ in range(230):
        await FallingEdge(dut.clk)
    assert memory.bursts, "nothing was going on"
    dut.store__stop.value = 1
    await memory.until_quiet(dut.store__quiet)
    written = memory.written - model.touched
    assert not written, "bytes written that no instruction names"
