"""What is illegal in a GATHER and in a SCATTER alike, for the benches of both."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from hw.config import Config
from hw.isa.payload import Mem, TokenRun
from sim.benches.dma import Dma
from sim.benches.token_runs import beats_of, word_bytes

Run = TypeVar("Run", bound=TokenRun)


def good_run(kind: type[Run], mem: Mem, words: int, config: Config) -> Run:
    """Two runs of two tokens of ``words`` words each, of which everything is right."""
    size = words * word_bytes(mem, config)
    beats = beats_of(2 * size, config)
    return kind(
        mem=mem, stride=words, seg_bytes=size, segs=2, rows=1, runs=2, line_addr=2 * words,
        beats=beats, pitch=beats * config.axi_bytes,
    )  # fmt: skip


def broken_rules(good: Run, config: Config) -> dict[str, Run]:
    """``good`` with one rule broken at a time: nothing is empty, and runs begin with a beat."""
    found = {
        "seg_bytes": replace(good, seg_bytes=0),
        "segs": replace(good, segs=0),
        "rows": replace(good, rows=0),
        "runs": replace(good, runs=0),
        "beats": replace(good, beats=0),
        "dram": replace(good, dram=config.axi_bytes // 2),
        "pitch": replace(good, pitch=good.pitch + 1),
    }
    assert all(run != good for run in found.values())
    return found


async def ends_before(unit: Dma, last: TokenRun, end: int) -> None:
    """A window fault, as the last range, which ends at window offset ``end``, is not asked for."""
    await unit.ends_in("window_fault")
    size = unit.memory.beat_bytes
    asked = max(at + beats * size for at, beats in unit.memory.bursts)
    assert asked == unit.base + end - last.beats * size
