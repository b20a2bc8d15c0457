"""cocotb bench of the NORM unit: whole instructions against golden.ops.LayerNorm."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, ReadOnly

from golden.ops.layernorm import LayerNorm
from hw.config import Config
from hw.formats.statistics import sum_widths
from hw.isa.instruction import HEADER_BITS, Instr
from hw.isa.latencies import NORMALISE, ROOT
from hw.isa.payload import Norm
from sim.kit.bench import Pauses, drive, read_port, read_request, serve, start
from sim.kit.bench_config import bench_config, bench_stalls

Ints = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Tokens of one LayerNorm and where they lie; arrays are [tokens, C] and [C]."""

    q: Ints
    alpha: Ints
    gamma: Ints
    beta: Ints
    shift: int
    r_addr: int = 0
    token: int = 0
    p_addr: int = 0
    d_addr: int = 0


def pack(values: Ints, bits: int) -> int:
    """Little-endian word of ``bits``-bit fields."""
    return sum((int(v) & ((1 << bits) - 1)) << (bits * i) for i, v in enumerate(values))


class Model:
    """Memories around the unit, and what must be in the activation buffer at the end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.residual: dict[int, int] = {}
        self.statistics: dict[int, int] = {}
        self.norm: dict[int, int] = {}
        self.wanted: dict[tuple[int, int, int], int] = {}
        self.written: dict[tuple[int, int, int], int] = {}
        self.instructions: list[int] = []

    def add(self, case: Case) -> None:
        """Place one case in the memories and append its instruction."""
        c = self.config
        count, channels = case.q.shape
        padded = -(-channels // (2 * c.lanes)) * 2 * c.lanes
        steps, words = padded // c.lanes, padded // c.cols
        norm = LayerNorm(channels=channels)
        s1, s2 = norm.statistics(case.q, case.alpha)
        y = norm.compute(case.q, case.alpha, case.gamma, case.beta, case.shift)
        s1_bits, s2_bits = sum_widths(c.max_channels)
        q = np.pad(case.q, ((0, 0), (0, padded - channels)))
        y = np.pad(y, ((0, 0), (0, padded - channels)))
        stride = (steps + 1) // 2 + 1
        for i in range(count):
            for w in range(words):
                at = case.r_addr + i * words + w
                self.residual[at] = pack(q[i, w * c.cols : (w + 1) * c.cols], 8)
            stat = int(s1[i]) & ((1 << s1_bits) - 1) | int(s2[i]) << s1_bits
            assert int(s2[i]) < 1 << s2_bits
            self.statistics[case.token + i] = stat
            for step in range(steps):
                addr = case.d_addr + i // c.rows * stride + step // 2
                part = y[i, step * c.lanes : (step + 1) * c.lanes]
                self.wanted[i % c.rows, addr, step % 2] = pack(part, 8)
        for ch in range(padded):
            word, lane = divmod(ch, c.lanes)
            entry = 0
            if ch < channels:
                fields = (int(case.gamma[ch]) & 0xFFFF, int(case.alpha[ch]), int(case.beta[ch]))
                entry = fields[0] | fields[1] << 16 | (fields[2] & 0xFFFFFFFF) << 32
            at = case.p_addr + word
            self.norm[at] = self.norm.get(at, 0) | entry << (64 * lane)
        fields_ = {
            "r_addr": case.r_addr, "token": case.token, "count": count, "channels": channels,
            "steps": steps, "p_addr": case.p_addr, "shift": case.shift, "d_addr": case.d_addr,
            "d_stride": stride,
        }  # fmt: skip
        raw = Instr(body=Norm.of(fields_)).pack()
        self.instructions.append(int.from_bytes(raw, "little") >> HEADER_BITS)

    def channels(self, addr: int) -> list[int]:
        """The 64 bits of each channel of a parameter word."""
        return [self.norm[addr] >> (64 * lane) for lane in range(self.config.lanes)]

    def alphas(self, addr: int) -> int:
        """What the unit reads first of a parameter word."""
        return pack(np.array([channel >> 16 & 3 for channel in self.channels(addr)], object), 2)

    def gains(self, addr: int) -> int:
        """Gamma and beta of a parameter word."""
        channels = np.array(self.channels(addr), object)
        return pack((channels & 0xFFFF) | (channels >> 32 & 0xFFFFFFFF) << 16, 48)

    def write(self, payload: int) -> None:
        """Take one activation write."""
        addr_bits, bank_bits = self.config.addr_bits["act"], (self.config.rows - 1).bit_length()
        addr = payload & ((1 << addr_bits) - 1)
        bank = payload >> addr_bits & ((1 << bank_bits) - 1)
        half = payload >> (addr_bits + bank_bits) & 1
        key = bank, addr, half
        assert key in self.wanted, f"write to {key}, which no instruction names"
        assert key not in self.written, f"{key} written twice"
        self.written[key] = payload >> (addr_bits + bank_bits + 1)

    def check(self) -> int:
        """Compare everything; return the number of bytes compared."""
        for key, want in self.wanted.items():
            got = self.written.get(key)
            assert got == want, f"(bank, word, half) {key}: got {got}, want {want:#x}"
        assert self.wanted, "nothing compared"
        return len(self.wanted) * self.config.lanes


async def run(dut: Any, model: Model, stalls: float, seed: int) -> int:
    """Run all instructions; return cycles from the first transfer to the last done."""
    cocotb.start_soon(drive(dut, "norm__instr", model.instructions, Pauses(stalls, seed)))
    cocotb.start_soon(serve(dut, "norm__act_write", model.write, Pauses(stalls, seed + 1)))
    cocotb.start_soon(
        read_request(dut, "norm__res_read", model.residual.__getitem__, Pauses(stalls, seed + 2))
    )
    cocotb.start_soon(read_port(dut, "norm__stat_read", model.statistics.__getitem__))
    cocotb.start_soon(read_port(dut, "norm__alpha_read", model.alphas))
    cocotb.start_soon(read_port(dut, "norm__gain_read", model.gains))
    done = cycles = 0
    while done < len(model.instructions):
        await ReadOnly()
        assert not dut.norm__fault.value, "unexpected fault"
        if dut.norm__done.value:
            done += 1
        cycles += 1
        assert cycles < 400_000, f"{done} of {len(model.instructions)} instructions done"
        await FallingEdge(dut.clk)
    for _ in range(10):
        await ReadOnly()
        assert not dut.norm__done.value, "more done pulses than instructions"
        assert not dut.norm__busy.value, "busy after the last instruction"
        await FallingEdge(dut.clk)
    return cycles


def corner_tokens(rng: np.random.Generator, channels: int) -> Ints:
    """All equal (V = 0), one-hot, all -128, alternating extremes, one off, small, full range."""
    ramp = np.arange(channels)
    rows = [
        np.full(channels, 7), np.zeros(channels), np.full(channels, -128),
        np.where(ramp == channels // 2, 127, 0), np.where(ramp % 2, 127, -128),
        np.where(ramp == 0, -127, -128), rng.integers(-3, 4, channels),
        rng.integers(-128, 128, channels), np.where(ramp == channels - 1, -128, 127),
    ]  # fmt: skip
    return np.stack(rows).astype(np.int64)


def random_case(rng: np.random.Generator, q: Ints, **places: int) -> Case:
    """Tokens ``q`` under random parameters, gammas of both signs and their extremes included."""
    channels = int(q.shape[1])
    alpha = rng.integers(0, 4, (channels,))
    gamma = rng.integers(-32768, 32768, (channels,))
    gamma[: min(2, channels)] = (32767, -32768)[: min(2, channels)]
    beta = rng.integers(-(1 << 31), 1 << 31, (channels,)) >> int(rng.integers(0, 12))
    return Case(
        q=q, alpha=alpha, gamma=gamma, beta=beta,
        shift=int(rng.integers(20, 32)), **places,
    )  # fmt: skip


def channel_counts(config: Config) -> list[int]:
    """One ragged, one small, one as large as the memories of ``config`` allow."""
    block = 2 * config.lanes
    largest = min(config.max_channels, config.norm_words * config.lanes // 2 // block * block)
    return sorted({block, 3 * block - 1, min(192, largest), largest})


class Places:
    """Hands out memory, so that cases follow one another at different base addresses."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.r_addr, self.token, self.p_addr, self.d_addr = 1, config.rows, 0, 2

    def room(self, channels: int) -> int:
        """Tokens of ``channels`` that still fit."""
        c = self.config
        steps = -(-channels // (2 * c.lanes)) * 2
        if self.p_addr + steps > c.norm_words:
            return 0
        groups = (c.act_words - self.d_addr) // (steps // 2 + 1)
        words = (c.residual_words - self.r_addr) * c.cols // (steps * c.lanes)
        return max(0, min(words, c.max_tokens - self.token, groups * c.rows))

    def take(self, tokens: int, channels: int) -> dict[str, int]:
        """Places of one case as keyword arguments of `Case`."""
        c = self.config
        steps, groups = -(-channels // (2 * c.lanes)) * 2, -(-tokens // c.rows)
        places = {
            "r_addr": self.r_addr, "token": self.token, "p_addr": self.p_addr,
            "d_addr": self.d_addr,
        }  # fmt: skip
        self.r_addr += tokens * steps * c.lanes // c.cols
        self.token += groups * c.rows
        self.p_addr += steps
        self.d_addr += groups * (steps // 2 + 1)
        return places


@cocotb.test()
async def corner_and_random_tokens(dut: Any) -> None:
    """Corner tokens, then random ones, of several channel counts, back to back."""
    config = bench_config()
    rng = np.random.default_rng(5)
    await start(dut)
    model, places, tokens = Model(config), Places(config), 0
    for channels in channel_counts(config):
        random_tokens = rng.integers(-128, 128, (config.rows + 1, channels))
        for q in (corner_tokens(rng, channels), random_tokens):
            q = q[: places.room(channels)]
            if len(q):
                model.add(random_case(rng, q, **places.take(len(q), channels)))
                tokens += len(q)
    assert tokens >= 16, "too few tokens fit this configuration"
    await run(dut, model, bench_stalls(), seed=9)
    model.check()


@cocotb.test()
async def extreme_shifts(dut: Any) -> None:
    """Final shifts of 0 (everything saturates) and 63 (everything vanishes)."""
    config = bench_config()
    rng = np.random.default_rng(6)
    await start(dut)
    model, places, channels = Model(config), Places(config), 2 * config.lanes
    for shift in (0, 63):
        q = rng.integers(-128, 128, (config.rows, channels))
        case = random_case(rng, q, **places.take(len(q), channels))
        model.add(replace(case, shift=shift))
    await run(dut, model, bench_stalls(), seed=10)
    model.check()


@cocotb.test(skip="POTVIT_BENCH_TOKENS" not in os.environ)
async def network_tokens(dut: Any) -> None:
    """Residual tokens and parameters of a quantized network, pickled by the caller."""
    config = bench_config()
    await start(dut)
    cases = pickle.loads(Path(os.environ["POTVIT_BENCH_TOKENS"]).read_bytes())
    model, places = Model(config), Places(config)
    for case in cases:
        channels = case.q.shape[1]
        q = case.q[: min(len(case.q), places.room(channels))]
        if len(q):
            model.add(replace(case, q=q, **places.take(len(q), channels)))
    await run(dut, model, bench_stalls(), seed=11)
    model.check()


@cocotb.test()
async def rate(dut: Any) -> None:
    """Without stalls the stages' latencies and a cycle for every step, to the cycle."""
    config = bench_config()
    rng = np.random.default_rng(7)
    await start(dut)
    model, places = Model(config), Places(config)
    channels = min(192, config.max_channels, config.norm_words // 2 * config.lanes)
    tokens = min(4 * config.rows, places.room(channels))
    q = rng.integers(-128, 128, (tokens, channels))
    for part in (q[: tokens // 2], q[tokens // 2 :]):
        model.add(random_case(rng, part, **places.take(len(part), channels)))
    cycles = await run(dut, model, 0.0, seed=12)
    model.check()
    steps = -(-channels // (2 * config.lanes)) * 2
    sums = sum_widths(config.max_channels)[0]
    # The first token's sums, variance and root; then a step a cycle, which no later root holds
    # up; the last one's way through the lanes, and a cycle to tell of it.
    assert steps >= max(sums, ROOT), "roots would hold the steps up"
    expected = 2 + sums + ROOT + 1 + tokens * steps - 1 + NORMALISE + 1
    assert cycles == expected + 1, f"{cycles - 1} cycles, expected {expected}"


@cocotb.test()
async def illegal_instructions(dut: Any) -> None:
    """Every illegal field raises the fault; nothing is written outside or hangs."""
    config = bench_config()
    block = 2 * config.lanes
    good = {
        "r_addr": 0, "token": 0, "count": 1, "channels": block, "steps": 2, "p_addr": 0,
        "shift": 20, "d_addr": 0, "d_stride": 1,
    }  # fmt: skip
    bad = [
        {"count": 0}, {"steps": 0}, {"channels": config.max_channels + 1},
        {"token": config.max_tokens}, {"p_addr": config.norm_words - 1},
        {"r_addr": config.residual_words}, {"d_addr": config.act_words},
        {"d_addr": config.act_words - 1, "count": config.rows + 1},
        *([{"steps": 1}] if config.cols > config.lanes else []),
    ]  # fmt: skip
    await start(dut)
    written: list[int] = []
    dut.norm__instr__valid.value = 0
    cocotb.start_soon(serve(dut, "norm__act_write", written.append, Pauses(0.0, 1)))
    cocotb.start_soon(read_request(dut, "norm__res_read", lambda a: 0, Pauses(0.0, 2)))
    cocotb.start_soon(read_port(dut, "norm__stat_read", lambda a: 1))
    cocotb.start_soon(read_port(dut, "norm__alpha_read", lambda a: 0))
    cocotb.start_soon(read_port(dut, "norm__gain_read", lambda a: 0))
    for change in bad:
        raw = Instr(body=Norm.of(good | change)).pack()
        payload = int.from_bytes(raw, "little") >> HEADER_BITS
        await drive(dut, "norm__instr", [payload], lambda: False)
        for _ in range(60 + 40 * config.rows):
            await FallingEdge(dut.clk)
        assert dut.norm__fault.value, f"no fault for {change}"
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)
        assert not dut.norm__fault.value, "the fault outlives a reset"
