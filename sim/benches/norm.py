"""cocotb bench of the NORM unit: whole instructions against golden.ops.LayerNorm."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, ReadOnly

from golden.ops.layernorm import LayerNorm
from hw.config import Config
from hw.isa import HEADER_BITS, Instr, Op
from hw.stat_layout import sum_widths
from sim.bench import Pauses, drive, read_port, read_request, serve, start
from sim.bench_config import bench_config

Ints = npt.NDArray[np.int64]


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
        raw = Instr(op=Op.NORM, fields=fields_).pack()
        self.instructions.append(int.from_bytes(raw, "little") >> HEADER_BITS)

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
    cocotb.start_soon(read_port(dut, "norm__norm_read", model.norm.__getitem__))
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
    channels = q.shape[1]
    gamma = rng.integers(-32768, 32768, channels)
    gamma[: min(2, channels)] = (32767, -32768)[: min(2, channels)]
    beta = rng.integers(-(1 << 31), 1 << 31, channels) >> int(rng.integers(0, 12))
    return Case(
        q=q, alpha=rng.integers(0, 4, channels), gamma=gamma, beta=beta,
        shift=int(rng.integers(20, 32)), **places,
    )  # fmt: skip


def channel_counts(config: Config) -> list[int]:
    """One ragged, one small, one as large as the memories of ``config`` allow."""
    block = 2 * config.lanes
    largest = min(config.max_channels, config.norm_words * config.lanes // 2 // block * block)
    return sorted({block, 3 * block - 1, min(192, largest), largest})


@cocotb.test()
async def corner_and_random_tokens(dut: Any) -> None:
    """Corner tokens and random ones at two base addresses each, shifts 0 and 63 included."""
    config = bench_config()
    stalls = float(os.environ.get("POTVIT_BENCH_STALLS", "0.3"))
    rng = np.random.default_rng(5)
    await start(dut)
    model = Model(config)
    r_addr = d_addr = p_addr = token = 0
    compared_tokens = 0
    for channels in channel_counts(config):
        for repeat in range(2):
            q = corner_tokens(rng, channels)
            if repeat:
                q = rng.integers(-128, 128, (config.rows + 1, channels))
            words = -(-channels // (2 * config.lanes)) * 2 * config.lanes // config.cols
            room = min((config.residual_words - r_addr) // words, config.max_tokens - token)
            row_words = words * config.cols // config.act_bytes + 1
            room = min(room, (config.act_words - d_addr) // row_words * config.rows)
            q = q[:room]
            steps = -(-channels // (2 * config.lanes)) * 2
            if not len(q) or p_addr + steps > config.norm_words:
                break
            case = random_case(rng, q, r_addr=r_addr, d_addr=d_addr, token=token, p_addr=p_addr)
            model.add(case)
            compared_tokens += len(q)
            r_addr += len(q) * words
            token += -(-len(q) // config.rows) * config.rows
            d_addr += -(-len(q) // config.rows) * row_words
            p_addr += steps
    assert compared_tokens >= 16, "too few tokens fit this configuration"
    await run(dut, model, stalls, seed=random.randint(0, 1 << 30))
    cocotb.log.info("compared %d bytes", model.check())
