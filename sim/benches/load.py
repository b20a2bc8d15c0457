"""cocotb bench of the LOAD unit: every destination, patches, faults, stop and speed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from hw.config import Config
from hw.isa import HEADER_BITS, Instr, Mem, Op
from sim.axi_model import AxiMemory
from sim.bench import Pauses, Port, drive, serve, start, write_port
from sim.bench_config import bench_config

BASE = 0x12_3456_7000 - 0x400  # the window starts near the end of a 4 KB page


def payload_of(op: Op, **fields: int) -> int:
    """Payload of the unit's instruction port."""
    raw = int.from_bytes(Instr(op=op, fields=fields).pack(), "little") >> HEADER_BITS
    return raw << 1 | (op is Op.PATCH)


class Model:
    """DRAM image, the instructions, and what each memory must receive in which order."""

    def __init__(self, config: Config, seed: int) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.image = bytearray()
        self.instructions: list[int] = []
        self.wanted: dict[str, list[tuple[Any, ...]]] = {
            name: [] for name in ("stream", "norm", "gelu", "const", "patch")
        }
        self.got: dict[str, list[tuple[Any, ...]]] = {name: [] for name in self.wanted}
        self.level = 0

    def sizes(self) -> dict[str, tuple[Mem, int, int]]:
        """Destination code, bytes per word and words of each memory but the patches'."""
        c = self.config
        return {
            "stream": (Mem.STREAM, c.stream_bytes, c.stream_words),
            "norm": (Mem.NORM, c.norm_bytes, c.norm_words),
            "gelu": (Mem.GELU, 1, 256),
            "const": (Mem.CONST, c.const_bytes, 1 << 16),
        }

    def _append(self, size: int) -> tuple[int, bytes]:
        """Random bytes at the next place in DRAM, with a random gap before them."""
        bus = self.config.axi_bytes
        self.image += self.rng.bytes(bus * int(self.rng.integers(0, 5)))
        at = len(self.image)
        self.image += self.rng.bytes(size)
        self.image += bytes(-len(self.image) % bus)
        return at, bytes(self.image[at : at + size])

    def load(self, name: str, words: int, addr: int) -> None:
        """Append a LOAD."""
        dest, size, _ = self.sizes()[name]
        at, raw = self._append(words * size)
        beats = -(-words * size // self.config.axi_bytes)
        self.instructions.append(
            payload_of(Op.LOAD, dest=dest, addr=addr, words=words, beats=beats, dram=at)
        )
        for i in range(words):
            word = int.from_bytes(raw[i * size : (i + 1) * size], "little")
            self.wanted[name].append((addr + i, word) if name != "const" else (word,))

    def patch(self, **f: int) -> None:
        """Append a PATCH."""
        c = self.config
        words = f["rows"] * f["patches"] * f["seg_words"]
        at, raw = self._append(words * c.act_bytes)
        beats = -(-words * c.act_bytes // c.axi_bytes)
        self.instructions.append(payload_of(Op.PATCH, beats=beats, dram=at, **f))
        pieces = iter(range(words))
        for ky in range(f["rows"]):
            for p in range(f["patches"]):
                for w in range(f["seg_words"]):
                    i = next(pieces)
                    group, bank = divmod(f["bank"] + p, c.rows)
                    addr = f["addr"] + group * f["stride"] + ky * f["seg_words"] + w
                    word = bytes(b ^ 0x80 for b in raw[i * c.act_bytes : (i + 1) * c.act_bytes])
                    self.wanted["patch"].append((addr, bank, int.from_bytes(word, "little")))

    def random(self, count: int) -> None:
        """Append random instructions of every kind."""
        c, rng = self.config, self.rng
        for n in range(count):
            name = ("stream", "norm", "gelu", "const", "patch")[n % 5 if n < 5 else rng.integers(5)]
            if name == "patch":
                shape = {"seg_words": 3, "patches": int(rng.integers(1, 6)), "rows": 2}
                self.patch(
                    addr=int(rng.integers(0, c.act_words // 2)), stride=7,
                    bank=int(rng.integers(0, c.rows)), **shape,
                )  # fmt: skip
                continue
            _, size, depth = self.sizes()[name]
            most = min(depth, 256, 6 * 4096 // size)
            words = int(rng.integers(1, max(2, most if n % 2 else most // 8 + 1)))
            self.load(name, words, int(rng.integers(0, depth - words + 1)))

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
            "patch": split("patch", bits["act"], (c.rows - 1).bit_length()),
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
    dut: Any, model: Model, stalls: float, seed: int, limit: int | None = None
) -> AxiMemory:
    """Start everything around the unit."""
    memory = AxiMemory(dut, "load__axi", model.config.axi_bytes, BASE, bytes(model.image))
    for name in ("instr__valid", "stop", "axi__r__valid"):
        getattr(dut, f"load__{name}").value = 0
    dut.load__base.value = BASE
    dut.load__limit.value = len(model.image) if limit is None else limit
    await start(dut)
    memory.start_reads(stalls, seed)
    take = model.takers()
    for n, name in enumerate(("stream", "norm", "patch")):
        pauses = Pauses(stalls, seed + 10 + n)
        cocotb.start_soon(serve(dut, f"load__{name}_write", take[name], pauses))
    cocotb.start_soon(write_port(dut, "load__gelu_write", take["gelu"]))
    cocotb.start_soon(const_fifo(dut, model, Pauses(0.8 if stalls else 0.0, seed + 20)))
    cocotb.start_soon(drive(dut, "load__instr", model.instructions, Pauses(stalls, seed + 21)))
    return memory


async def wait_done(dut: Any, wanted: int, limit: int = 300_000) -> int:
    """Cycles until ``wanted`` done pulses; then idle, without fault or further pulses."""
    done = cycles = 0
    while done < wanted:
        await ReadOnly()
        for fault in ("fault", "window_fault", "bus_fault"):
            assert not getattr(dut, f"load__{fault}").value, f"unexpected {fault}"
        done += int(dut.load__done.value)
        cycles += 1
        assert cycles < limit, f"{done} of {wanted} instructions done"
        await FallingEdge(dut.clk)
    for _ in range(10):
        await ReadOnly()
        assert not dut.load__done.value, "more done pulses than instructions"
        assert not dut.load__busy.value, "busy after the last instruction"
        await FallingEdge(dut.clk)
    return cycles


def stalls() -> float:
    """Rate of random pauses of this run."""
    return float(os.environ.get("POTVIT_BENCH_STALLS", "0.3"))


@cocotb.test()
async def every_destination(dut: Any) -> None:
    """Random instructions of every kind, ragged ones across 4 KB pages included."""
    model = Model(bench_config(), 3)
    model.random(25)
    memory = await set_up(dut, model, stalls(), 11)
    await wait_done(dut, len(model.instructions))
    model.check()
    pages = {addr // 4096 for addr, _ in memory.bursts}
    assert len(pages) > 1, "no burst near a 4 KB boundary"


@cocotb.test()
async def full_bus_rate(dut: Any) -> None:
    """Stream loads take a beat per cycle, over the change from one to the next as well."""
    config = bench_config()
    model = Model(config, 4)
    beats = max(1, config.stream_bytes // config.axi_bytes) * 64
    words = beats * config.axi_bytes // config.stream_bytes
    for n in range(4):
        model.load("stream", words, n)
    await set_up(dut, model, 0.0, 1)
    cycles = await wait_done(dut, 4)
    model.check()
    slower = max(1, config.axi_bytes // config.stream_bytes)
    if config.outstanding == 1:  # the bus idles between bursts
        slower += -(-8 // config.burst_beats)
    assert cycles <= 4 * (beats * slower + 2) + 20, f"{cycles} cycles for {4 * beats} beats"


@cocotb.test()
async def outside_the_window(dut: Any) -> None:
    """A range that ends one byte beyond the window: a fault and not one address."""
    config = bench_config()
    model = Model(config, 5)
    model.load("stream", 8, 0)
    memory = await set_up(dut, model, 0.0, 1, limit=len(model.image) - 1)
    for _ in range(200):
        await FallingEdge(dut.clk)
    assert dut.load__window_fault.value, "no window fault"
    assert not memory.bursts, "an address was issued"
    assert not dut.load__done.value
    assert dut.load__quiet.value


@cocotb.test()
async def illegal_instructions(dut: Any) -> None:
    """Every illegal field raises the fault, nothing is written or hangs."""
    config = bench_config()
    beats = max(1, config.stream_bytes // config.axi_bytes)
    good = {"dest": Mem.STREAM, "addr": 0, "words": 1, "beats": beats, "dram": 0}
    patch = {
        "addr": 0, "stride": 1, "beats": 64, "dram": 0, "seg_words": 1, "patches": 1, "rows": 1,
        "bank": 0,
    }  # fmt: skip
    bad = [
        payload_of(Op.LOAD, **good | {"dest": Mem.VALUE}),
        payload_of(Op.LOAD, **good | {"addr": config.stream_words}),
        payload_of(Op.LOAD, **good | {"words": 0}),
        payload_of(Op.LOAD, **good | {"beats": 0}),
        payload_of(Op.LOAD, **good | {"dram": 1}),
        payload_of(Op.LOAD, **good | {"words": 2 * max(1, config.axi_bytes // 8)}),
        payload_of(Op.PATCH, **patch | {"rows": 0}),
        payload_of(Op.PATCH, **patch | {"bank": config.rows}),
        payload_of(Op.PATCH, **patch | {"addr": config.act_words}),
    ]
    model = Model(config, 6)
    model.image = bytearray(8192)
    await set_up(dut, model, 0.0, 1)
    await FallingEdge(dut.clk)
    for n, payload in enumerate(bad):
        await drive(dut, "load__instr", [payload], lambda: False)
        for _ in range(200):
            await FallingEdge(dut.clk)
        assert dut.load__fault.value, f"no fault for illegal instruction {n}"
        assert dut.load__quiet.value, f"not quiet after illegal instruction {n}"
        assert not model.got["patch"], "a patch was written outside"
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)
        assert not dut.load__fault.value, "the fault outlives a reset"


@cocotb.test()
async def error_response(dut: Any) -> None:
    """SLVERR raises the bus fault; what is outstanding is taken, nothing new starts."""
    model = Model(bench_config(), 7)
    model.random(10)
    memory = await set_up(dut, model, stalls(), 13)
    at = BASE + len(model.image) // 2
    memory.errors[at] = 2
    await memory.until_quiet(dut.load__quiet)
    assert dut.load__bus_fault.value, "no bus fault"
    assert memory.covers(at), "the fault came too early"


@cocotb.test()
async def stop_at_any_time(dut: Any) -> None:
    """After ``stop`` the addresses shown are held, the data taken, then all is quiet."""
    model = Model(bench_config(), 8)
    model.random(10)
    memory = await set_up(dut, model, stalls(), 17)
    for _ in range(300):
        await FallingEdge(dut.clk)
    assert memory.bursts, "nothing was going on"
    dut.load__stop.value = 1
    await memory.until_quiet(dut.load__quiet)
