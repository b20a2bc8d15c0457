"""cocotb bench of the ATTN unit: instructions against LogIntSoftmax and ShiftAttention."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from golden.ops.softmax import (
    AttnFormat,
)
from hw.config import Config
from hw.isa import latencies
from hw.isa.instruction import HEADER_BITS, Instr
from hw.isa.payload import Attend
from sim.benches.attention_cases import RULES, key_counts, masked_case, random_case
from sim.benches.attention_model import Case, Model, to_int
from sim.kit.bench import Pauses, drive, read_port, read_request, serve, start
from sim.kit.bench_config import bench_config, bench_stalls


async def run(dut: Any, model: Model, stalls: float, seed: int) -> list[int]:
    """Run the model's instructions; return the cycle of each ``done``."""
    tasks = [
        cocotb.start_soon(drive(dut, "attn__instr", model.instructions, Pauses(stalls, seed))),
        cocotb.start_soon(serve(dut, "attn__act_write", model.write_act, Pauses(stalls, seed + 1))),
        cocotb.start_soon(
            serve(dut, "attn__code_write", model.write_code, Pauses(stalls, seed + 2))
        ),
        cocotb.start_soon(read_port(dut, "attn__max_read", lambda a: to_int(model.maxima[a]))),
        cocotb.start_soon(read_port(dut, "attn__value_read", model.value_word)),
        cocotb.start_soon(
            read_request(
                dut, "attn__logit_read", lambda a: to_int(model.logit[a].view(np.int8)),
                Pauses(stalls, seed + 3),
            )
        ),
    ]  # fmt: skip
    done: list[int] = []
    cycle = 0
    while len(done) < len(model.instructions):
        await ReadOnly()
        assert not dut.attn__fault.value, "unexpected fault"
        if dut.attn__done.value:
            done.append(cycle)
        cycle += 1
        assert cycle < 400_000, f"{len(done)} of {len(model.instructions)} instructions done"
        await FallingEdge(dut.clk)
    for _ in range(10):
        await ReadOnly()
        assert not dut.attn__done.value, "more done pulses than instructions"
        assert not dut.attn__busy.value, "busy after the last instruction"
        await FallingEdge(dut.clk)
    for task in tasks:
        task.cancel()
    return done


async def run_cases(
    dut: Any, config: Config, cases: list[Case], seed: int, *, complete: bool
) -> int:
    """Run all cases, as many at a time as the memories hold; return the elements compared.

    With ``complete`` every attention code and both saturations must have occurred.
    """
    rng = np.random.default_rng(seed)
    pending = list(reversed(cases))
    codes: dict[AttnFormat, set[int]] = {f: set() for f in AttnFormat}
    results: set[int] = set()
    compared = 0
    while pending:
        model = Model(config, rng)
        while pending and model.add(pending[-1]):
            pending.pop()
        await run(dut, model, bench_stalls(), seed=random.randint(0, 1 << 30))
        compared += model.check()
        results |= model.results_seen
        for fmt, seen in model.codes_seen.items():
            codes[fmt] |= seen
    if complete:
        for fmt, seen in codes.items():
            missing = set(range(fmt.zero_code + 1)) - seen
            assert not missing, f"{fmt} codes {sorted(missing)} never occurred"
        assert {-128, 127} <= results, "a saturation never occurred"
    print(f"compared {compared} elements of {len(cases)} instructions")
    return compared


@cocotb.test()
async def corner_and_random_rows(dut: Any) -> None:
    """Every key count under every rule, stalls as set, several rounds over the memories."""
    config = bench_config()
    rng = np.random.default_rng(11)
    await start(dut)
    points = [(k, w) for w in range(len(RULES)) for k in key_counts(config)] * 4
    order = rng.permutation(len(points))
    kinds = (random_case, random_case, masked_case)
    cases = [kinds[n % len(kinds)](rng, config, *points[i]) for n, i in enumerate(order)]
    await run_cases(dut, config, cases, seed=13, complete=True)


@cocotb.test(skip="POTVIT_BENCH_ROWS" not in os.environ)
async def network_rows(dut: Any) -> None:
    """Row groups of a quantized network, pickled by the caller."""
    await start(dut)
    cases = pickle.loads(Path(os.environ["POTVIT_BENCH_ROWS"]).read_bytes())
    compared = await run_cases(dut, bench_config(), cases, seed=14, complete=False)
    assert compared >= 1000, "too little compared"


@cocotb.test()
async def back_to_back_throughput(dut: Any) -> None:
    """Successive row groups take their keys and a few cycles each when nothing waits."""
    config = bench_config()
    rng = np.random.default_rng(12)
    await start(dut)
    keys = min(197, key_counts(config)[-1])
    model = Model(config, rng)
    groups = 0
    while groups < 25:
        model.at["value"] = 0  # one head: the groups share their values
        case = random_case(rng, config, keys, 0)
        if groups:
            case = Case(
                logits=case.logits, values=model.value[:keys].copy(), frac=case.frac, shift=0
            )
        else:
            case = Case(
                logits=case.logits, frac=case.frac,
                values=rng.integers(-128, 128, (keys, config.head_lanes)),
            )  # fmt: skip
        if not model.add(case):
            break
        groups += 1
    assert groups >= 3, "too few groups fit this configuration"
    done = await run(dut, model, 0.0, seed=1)
    model.check()
    words = config.head_lanes // config.act_bytes
    sweeps = words * (-(-keys // config.keys_per_cycle) + latencies.SWEEP_GAP)
    # Its own pass each, then the last keys' sums and a cycle to tell of them.
    summed = latencies.LOGIT_FEED - 1 + keys + latencies.SUM
    coded = summed + keys + latencies.READ + latencies.CODE
    valued = coded + sweeps - latencies.SWEEP_GAP + latencies.READ + latencies.SHIFT_ADD
    assert done[0] == valued + 1, "latency of a single instruction"
    per_group = (done[-1] - done[0]) / (groups - 1)
    print(f"{groups} groups of {keys} keys: {done[-1]} cycles, {per_group:.2f} per group")
    assert per_group <= max(summed, sweeps)


@cocotb.test()
async def illegal_instructions(dut: Any) -> None:
    """Each field out of range raises ``fault`` and nothing is written."""
    c = bench_config()
    good = {
        "l_addr": 0, "slot": 0, "keys": 3, "frac": 2, "odd": 352, "v_addr": 0, "shift": 14,
        "d_addr": 0, "d_words": 1,
    }  # fmt: skip
    words = c.head_lanes // c.act_bytes
    bad: list[dict[str, int]] = [
        {"keys": 0}, {"keys": c.max_keys + 1}, {"frac": 6}, {"d_words": 0},
        {"d_words": words + 1}, {"l_addr": c.logit_words}, {"v_addr": c.value_words - 2},
        {"v_addr": c.value_words - c.keys_per_cycle, "keys": c.keys_per_cycle + 1},
        *([{"v_addr": 1}] if c.keys_per_cycle > 1 else []),
        {"d_addr": c.act_words}, {"shift": 7}, {"shift": 24}, {"l_addr": (1 << 16) - 1},
    ]  # fmt: skip
    if c.slots < 256:
        bad.append({"slot": c.slots})
    for change in bad:
        await start_again(dut)
        raw = Instr(body=Attend.of(good | change)).pack()
        dut.attn__instr__payload.value = int.from_bytes(raw, "little") >> HEADER_BITS
        dut.attn__instr__valid.value = 1
        seen = 0
        for _ in range(20):
            await ReadOnly()
            seen += bool(dut.attn__fault.value)
            for port in ("act_write", "code_write", "logit_read__req"):
                assert not getattr(dut, f"attn__{port}__valid").value, (change, port)
            await FallingEdge(dut.clk)
        assert seen >= 18, f"no lasting fault for {change}"
    dut.attn__instr__valid.value = 0


_running: list[Any] = []


async def start_again(dut: Any) -> None:
    """Start the clock once per test; reset the design each time."""
    if not _running:
        await start(dut)
        _running.append(dut)
    dut.attn__instr__valid.value = 0
    dut.rst.value = 1
    for _ in range(2):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
