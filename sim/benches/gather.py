"""cocotb bench of GATHER in the LOAD unit: every move, ragged bytes, faults and speed."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb

from hw.config import Config
from hw.isa.payload import Gather, Mem
from sim.benches.dma import WINDOWS
from sim.benches.load import set_up
from sim.benches.load_model import Model, payload_of
from sim.benches.token_faults import broken_rules, ends_before, good_run
from sim.benches.token_runs import Home, beats_of, moves, random_run, segments_of, word_bytes
from sim.kit.bench_config import bench_config, bench_stalls


@cocotb.test()
async def every_move(dut: Any) -> None:
    """The moves that docs/homes.md lists, against what each means."""
    model = Model(bench_config(), 3)
    for move in moves(model.config).values():
        at, _ = model.append(move.size, None)
        for fields, segments in move.parts:
            model.gather(Gather(**fields), segments, at)
    unit = await set_up(dut, model, bench_stalls(), 11)
    await unit.wait_done(len(model.instructions))
    model.check()
    assert model.wanted["act"], "nothing for ACT"
    assert model.wanted["residual"], "nothing for RESIDUAL"


@cocotb.test()
@cocotb.parametrize(seed=[1, 2])
async def ragged_runs(dut: Any, seed: int) -> None:
    """Segments of any length, many lines and runs, between loads of other memories."""
    model = Model(bench_config(), seed)
    for n in range(24):
        run = random_run(model.rng, model.config)
        model.gather(run, segments_of(run, model.config))
        if n % 6 == 5:
            model.load("norm", 2, n)
    unit = await set_up(dut, model, bench_stalls(), seed)
    await unit.wait_done(len(model.instructions))
    model.check()


def network(model: Model, tensors: dict[str, list[bytes]]) -> None:
    """Pixels as patches with their own length, tokens of a residual stream to both memories."""
    config = model.config
    for content in tensors["patch"]:
        patch = Home(Mem.ACT, 0, config.act_words // 8, config)
        size, patches = 3 * 7, 5
        words = -(-size // config.act_bytes)
        rows = min(6, len(content) // (size * patches), patch.stride // words)
        run = Gather(
            **patch.fields(1), flip=True, seg_bytes=size, segs=patches, rows=rows, runs=1,
            line_addr=words, beats=beats_of(rows * patches * size, config),
        )  # fmt: skip
        at, _ = model.append(run.beats * config.axi_bytes, content)
        model.gather(run, segments_of(run, config), at)
    for content in tensors["tokens"]:
        for mem in (Mem.ACT, Mem.RESIDUAL):
            size = 4 * word_bytes(mem, config)
            home = Home(mem, 9, 4, config)
            count = min(12, len(content) // size)
            assert count > 2, "a tensor of too few bytes"
            run = Gather(
                **home.fields(), seg_bytes=size, segs=count, rows=1, runs=1,
                beats=beats_of(count * size, config),
            )  # fmt: skip
            at, _ = model.append(run.beats * config.axi_bytes, content)
            model.gather(run, segments_of(run, config), at)


@cocotb.test(skip="POTVIT_BENCH_TENSORS" not in os.environ)
@cocotb.parametrize(window=list(WINDOWS))
async def network_tensors(dut: Any, window: str) -> None:
    """Pixels and the residual stream of a network, pickled by the caller."""
    model = Model(bench_config(), 9)
    network(model, pickle.loads(Path(os.environ["POTVIT_BENCH_TENSORS"]).read_bytes()))
    unit = await set_up(dut, model, bench_stalls(), 19, window=window)
    await unit.wait_done(len(model.instructions))
    model.check()


@cocotb.test()
@cocotb.parametrize(mem=["ACT", "RESIDUAL"], runs=[1, 6])
async def one_word_a_cycle(dut: Any, mem: str, runs: int) -> None:
    """A word a cycle or a beat a cycle, whichever is more, without a gap between runs."""
    config = bench_config()
    model = Model(config, 4)
    word = word_bytes(Mem[mem], config)
    size = 5 * word + 3  # every other word lies across two beats
    beats = beats_of(8 * size, config)
    run = Gather(
        **Home(Mem[mem], 0, 8, config).fields(), seg_bytes=size, segs=8, rows=1, runs=runs,
        line_addr=4, beats=beats, pitch=beats * config.axi_bytes,
    )  # fmt: skip
    model.gather(run, segments_of(run, config))
    unit = await set_up(dut, model, 0.0, 1)
    cycles = await unit.wait_done(1)
    model.check()
    work = runs * max(beats, 8 * 6)
    if config.outstanding == 1:  # the bus idles between bursts
        work += 10 * len(unit.memory.bursts)
    assert cycles <= work + 20, f"{cycles} cycles for {work}"


def good_gather(config: Config) -> Gather:
    """Two runs of two tokens each, of which everything is right."""
    return good_run(Gather, Mem.ACT, 2, config)


@cocotb.test()
async def illegal_runs(dut: Any) -> None:
    """Every rule broken alone raises the fault and writes nothing."""
    config = bench_config()
    model = Model(config, 6)
    model.image = bytearray(8192)
    unit = await set_up(dut, model, 0.0, 1)
    good = good_gather(config)
    residual = replace(good, mem=Mem.RESIDUAL)
    rules = broken_rules(good, config) | {
        "bank": replace(good, bank=config.rows),
        "line_bank": replace(good, line_bank=config.rows),
        "mem": replace(good, mem=Mem.STREAM),
        "act addr": replace(good, addr=config.act_words),
        "residual bank": replace(residual, bank=1),
        "residual line_bank": replace(residual, line_bank=1),
        "residual addr": replace(residual, addr=config.residual_words),
    }
    await unit.refuses(
        map(payload_of, rules.values()), lambda: not model.got["act"] + model.got["residual"]
    )


def faulty_run(case: str, mem: Mem, config: Config) -> Gather:
    """A legal run but for something that shows on the way."""
    good = replace(good_gather(config), mem=mem)
    depth = config.act_words if mem is Mem.ACT else config.residual_words
    changes: dict[str, dict[str, Any]] = {
        "addr": {"addr": depth - 3, "stride": 2},
        "line_addr": {"line_addr": depth - 1},
        "far_stride": {"addr": depth - 1 - good.seg_bytes // 4, "stride": 4095, "segs": 1023},
        "one_beat": {"beats": 1},
        "a_beat_less": {"beats": good.beats - 1, "pitch": 0},
    }
    return replace(good, **changes[case])


@cocotb.test()
@cocotb.parametrize(
    mem=["ACT", "RESIDUAL"], case=["addr", "line_addr", "far_stride", "one_beat", "a_beat_less"]
)
async def faults_on_the_way(dut: Any, mem: str, case: str) -> None:
    """A word outside, or beats that run out: what stands before is written, nothing behind."""
    config = bench_config()
    model = Model(config, 7)
    run = faulty_run(case, Mem[mem], config)
    name, word = mem.lower(), word_bytes(run.mem, config)
    depth = getattr(config, f"{name}_words")
    model.append(4096, None)
    model.instructions.append(payload_of(run))
    wanted = []
    for n, segment in enumerate(segments_of(run, config)):
        run_at = n // (run.rows * run.segs) * run.pitch
        for i in range(-(-run.seg_bytes // word)):
            raw = bytes(model.image[segment.dram + i * word :][:word])
            inside = segment.dram + (i + 1) * word - run_at <= run.beats * config.axi_bytes
            if segment.addr + i >= depth or not inside:
                break
            place = (segment.addr + i, segment.bank) if mem == "ACT" else (segment.addr + i,)
            wanted.append((*place, int.from_bytes(raw, "little")))
        else:
            continue
        break
    unit = await set_up(dut, model, bench_stalls(), 5)
    await unit.ends_in("fault")
    assert model.got[name] == wanted, f"{len(model.got[name])} words, want {len(wanted)}"


@cocotb.test()
async def a_run_outside_the_window(dut: Any) -> None:
    """The third of three runs ends a byte outside: the others are moved, it is not asked for."""
    model = Model(bench_config(), 5)
    run = replace(good_gather(model.config), runs=3)
    model.gather(run, segments_of(run, model.config))
    end = len(model.image)
    unit = await set_up(dut, model, 0.0, 1, limit=end - 1)
    await ends_before(unit, run, end)
    model.wanted["act"] = model.wanted["act"][: len(model.wanted["act"]) * 2 // 3]
    assert model.got["act"] == model.wanted["act"][: len(model.got["act"])]


@cocotb.test()
async def error_response(dut: Any) -> None:
    """SLVERR in the middle of a run raises the bus fault; what is outstanding is taken."""
    model = Model(bench_config(), 7)
    for _ in range(3):
        run = random_run(model.rng, model.config)
        at, _ = model.append((run.runs - 1) * run.pitch + run.beats * model.config.axi_bytes, None)
        model.gather(run, segments_of(run, model.config), at)
    model.load("stream", 4, 0)
    unit = await set_up(dut, model, bench_stalls(), 13)
    await unit.ends_in_bus_fault(at + (run.runs - 1) * run.pitch, response=2)
    assert not model.got["stream"], "a load behind the fault"


@cocotb.test()
async def stop_at_any_time(dut: Any) -> None:
    """After ``stop`` the addresses shown are held, the data taken, then all is quiet."""
    model = Model(bench_config(), 8)
    for _ in range(12):
        run = random_run(model.rng, model.config)
        model.gather(run, segments_of(run, model.config))
    unit = await set_up(dut, model, bench_stalls(), 17)
    await unit.stops_after(150)
    for name in ("act", "residual"):
        got = model.got[name]
        assert got == model.wanted[name][: len(got)], f"{name}: not what the runs hold"
