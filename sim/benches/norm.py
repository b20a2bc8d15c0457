"""cocotb bench of the NORM unit: whole instructions against golden.ops.LayerNorm."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from hw.formats.sums import sum_widths
from hw.isa.instruction import HEADER_BITS, Instr
from hw.isa.latencies import NORMALISE, ROOT
from hw.isa.payload import Norm
from sim.benches.norm_cases import Places, channel_counts, corner_tokens, random_case
from sim.benches.norm_model import Model
from sim.kit.bench import Pauses, drive, read_port, read_request, serve, start
from sim.kit.bench_config import bench_config, bench_stalls


async def run(dut: Any, model: Model, stalls: float, seed: int) -> int:
    """Run all instructions; return cycles from the first transfer to the last done."""
    cocotb.start_soon(drive(dut, "norm__instr", model.instructions, Pauses(stalls, seed)))
    cocotb.start_soon(serve(dut, "norm__act_write", model.write, Pauses(stalls, seed + 1)))
    cocotb.start_soon(
        read_request(dut, "norm__res_read", model.residual.__getitem__, Pauses(stalls, seed + 2))
    )
    cocotb.start_soon(read_port(dut, "norm__stat_read", model.statistics.__getitem__))
    cocotb.start_soon(read_port(dut, "norm__alpha_read", model.alphas.__getitem__))
    cocotb.start_soon(read_port(dut, "norm__gain_read", model.gains.__getitem__))
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
