"""cocotb bench of SCATTER in the STORE unit: every move, packing, faults and speed."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from hw.config import Config
from hw.isa.payload import Mem, Scatter
from sim.benches.dma import WINDOWS
from sim.benches.store import UNTOUCHED, Model, payload_of, set_up
from sim.benches.token_faults import broken_rules, ends_before, good_run
from sim.benches.token_runs import Home, beats_of, moves, segments_of
from sim.kit.axi_model import ORDERS
from sim.kit.bench_config import bench_config, bench_stalls


def random_scatter(rng: np.random.Generator, config: Config) -> Scatter:
    """A legal run of whole words anywhere, its ranges apart, at times with too many beats."""
    seg = int(rng.integers(1, 6)) * config.cols
    segs, rows, runs = (int(rng.integers(1, n)) for n in (6, 4, 4))
    beats = beats_of(rows * segs * seg, config) + int(rng.integers(0, 3))
    return Scatter(
        mem=Mem.RESIDUAL,
        addr=int(rng.integers(0, config.residual_words // 2)),
        stride=int(rng.integers(0, 12)),
        line_addr=int(rng.integers(0, 20)),
        seg_bytes=seg,
        segs=segs,
        rows=rows,
        runs=runs,
        beats=beats,
        pitch=(beats + int(rng.integers(0, 3))) * config.axi_bytes,
    )


@cocotb.test()
async def every_move(dut: Any) -> None:
    """The moves of RESIDUAL that docs/homes.md lists, against what each means."""
    model = Model(bench_config(), 3)
    for name, move in moves(model.config).items():
        if not name.startswith("residual"):
            continue
        at = model.reserve(move.size)
        for fields, segments in move.parts:
            model.scatter(Scatter(**fields), segments, at)
    assert len(model.instructions) >= 6
    unit = await set_up(dut, model, bench_stalls(), 11)
    await unit.wait_done(len(model.instructions))
    model.check(unit.memory)


@cocotb.test()
@cocotb.parametrize(seed=[1, 2])
async def random_runs(dut: Any, seed: int) -> None:
    """Many lines and runs that end in the middle of a beat, between stores of other memories."""
    model = Model(bench_config(), seed)
    for n in range(24):
        run = random_scatter(model.rng, model.config)
        model.scatter(run, segments_of(run, model.config))
        if n % 6 == 5:
            model.store(("residual", "out", "act", "stream")[n // 6], 1, 2)
    unit = await set_up(dut, model, bench_stalls(), seed, order=ORDERS[seed])
    await unit.wait_done(len(model.instructions))
    model.check(unit.memory)
    assert unit.crossed_pages() or len(model.image) < 4096, "no 4 KB boundary was near"


def network(model: Model, tensors: dict[str, list[bytes]]) -> None:
    """The residual stream of a network: tokens back to back, and a beat's beginning for each."""
    config, at = model.config, 0
    for content in tensors["residual"]:
        size = 3 * config.cols
        home = Home(Mem.RESIDUAL, at, 3, config)
        count = min(8, len(content) // size, (config.residual_words - at) // 3)
        if count < 2:
            break
        for i in range(3 * count):
            raw = content[i * config.cols : (i + 1) * config.cols]
            model.words["residual", at + i] = int.from_bytes(raw, "little")
        at += 3 * count
        dense = Scatter(
            **home.fields(), seg_bytes=size, segs=count, rows=1, runs=1,
            beats=beats_of(count * size, config),
        )  # fmt: skip
        model.scatter(dense, segments_of(dense, config))
        beats = beats_of(size, config)
        apart = replace(
            dense, segs=1, runs=count, line_addr=3, beats=beats, pitch=beats * config.axi_bytes
        )
        model.scatter(apart, segments_of(apart, config))
    assert at, "no tensor fills two tokens"


@cocotb.test(skip="POTVIT_BENCH_TENSORS" not in os.environ)
@cocotb.parametrize(window=list(WINDOWS))
async def network_tensors(dut: Any, window: str) -> None:
    """The residual stream of a network, pickled by the caller."""
    model = Model(bench_config(), 9)
    network(model, pickle.loads(Path(os.environ["POTVIT_BENCH_TENSORS"]).read_bytes()))
    unit = await set_up(dut, model, bench_stalls(), 19, window=window)
    await unit.wait_done(len(model.instructions))
    model.check(unit.memory)


@cocotb.test()
@cocotb.parametrize(runs=[1, 6])
async def one_word_a_cycle(dut: Any, runs: int) -> None:
    """A word a cycle or a beat a cycle, whichever is more, without a gap between runs."""
    config = bench_config()
    model = Model(config, 4)
    segs, words = 16, 6
    beats = beats_of(segs * words * config.cols, config)
    run = Scatter(
        mem=Mem.RESIDUAL, stride=words, line_addr=1, seg_bytes=words * config.cols, segs=segs,
        rows=1, runs=runs, beats=beats, pitch=beats * config.axi_bytes,
    )  # fmt: skip
    model.scatter(run, segments_of(run, config))
    unit = await set_up(dut, model, 0.0, 1)
    cycles = await unit.wait_done(1)
    model.check(unit.memory)
    work = runs * max(beats, segs * words)
    gaps = 8 * len(unit.memory.bursts) if config.outstanding == 1 else 0
    assert cycles <= work + gaps + 20, f"{cycles} cycles for {work}"


def good_scatter(config: Config) -> Scatter:
    """Two runs of two tokens each, of which everything is right."""
    return good_run(Scatter, Mem.RESIDUAL, 4, config)


@cocotb.test()
async def illegal_runs(dut: Any) -> None:
    """Every rule broken alone raises the fault and issues nothing."""
    config = bench_config()
    model = Model(config, 6)
    model.image = bytearray(8192)
    unit = await set_up(dut, model, 0.0, 1)
    good = good_scatter(config)
    rules = broken_rules(good, config) | {
        "bank": replace(good, bank=1),
        "line_bank": replace(good, line_bank=1),
        "mem": replace(good, mem=Mem.ACT),
        "flip": replace(good, flip=True),
        "part of a word": replace(good, seg_bytes=good.seg_bytes - 1),
    }
    await unit.refuses(map(payload_of, rules.values()), lambda: not unit.memory.bursts)


@cocotb.test()
@cocotb.parametrize(case=["first_word", "on_the_way", "line", "one_beat", "a_beat_less"])
async def faults_on_the_way(dut: Any, case: str) -> None:
    """A word outside, or beats that run out: nothing but right bytes of words before is written."""
    config = bench_config()
    good, depth = good_scatter(config), config.residual_words
    beats = max(1, good.beats - 1)
    run = {
        "first_word": replace(good, addr=depth),
        "on_the_way": replace(good, addr=depth - 6),
        "line": replace(good, line_addr=depth - 1),
        "one_beat": replace(good, segs=8, beats=1),
        "a_beat_less": replace(good, beats=beats, segs=good.segs + (good.beats == 1) * 8),
    }[case]
    model = Model(config, 7)
    at = model.reserve(run.runs * run.pitch + 16 * good.seg_bytes)
    model.scatter(run, [], at)
    unit = await set_up(dut, model, bench_stalls(), 5)
    await unit.ends_in("fault")
    right = dict.fromkeys(range(len(model.image)), UNTOUCHED)
    for segment in segments_of(run, config):
        for i in range(min(4, max(0, depth - segment.addr))):
            raw = model.word("residual", segment.addr + i).to_bytes(config.cols, "little")
            first = at + segment.dram + i * config.cols
            right |= dict(zip(range(first, first + config.cols), raw, strict=True))
    for byte in unit.memory.written:
        assert unit.memory.data[byte] == right[byte], f"byte {byte - at} is of no word before"
    moved = {"one_beat": 1, "a_beat_less": run.beats}.get(case, 0)
    assert len(unit.memory.written) >= moved * config.axi_bytes, "beats before the fault are lost"
    if case == "first_word":
        assert not unit.memory.written


@cocotb.test()
async def a_run_outside_the_window(dut: Any) -> None:
    """The third of three runs ends a byte outside: it is not asked for."""
    model = Model(bench_config(), 5)
    run = replace(good_scatter(model.config), runs=3)
    model.scatter(run, segments_of(run, model.config))
    end = len(model.image)
    unit = await set_up(dut, model, 0.0, 1, limit=end - 1)
    await ends_before(unit, run, end)


@cocotb.test()
async def error_response(dut: Any) -> None:
    """DECERR in the middle of a run raises the bus fault; bursts under way are completed."""
    model = Model(bench_config(), 7)
    for _ in range(5):
        run = random_scatter(model.rng, model.config)
        model.scatter(run, segments_of(run, model.config))
    unit = await set_up(dut, model, bench_stalls(), 13)
    await unit.ends_in_bus_fault(sorted(model.touched)[len(model.touched) // 2], response=3)


@cocotb.test()
async def stop_at_any_time(dut: Any) -> None:
    """After ``stop`` bursts under way are completed, then all is quiet."""
    model = Model(bench_config(), 8)
    for _ in range(12):
        run = random_scatter(model.rng, model.config)
        model.scatter(run, segments_of(run, model.config))
    unit = await set_up(dut, model, bench_stalls(), 17)
    await unit.stops_after(150)
    written = unit.memory.written
    assert not written - model.touched, "bytes written that no instruction names"
    assert all(unit.memory.data[i] == model.image[i] for i in written), "wrong bytes"
