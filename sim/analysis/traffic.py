"""Bytes that a program moves in and out of every on-chip memory."""

from __future__ import annotations

from hw.config import CODE_BITS, Config
from hw.formats.memories import Space, memories
from hw.formats.norm import NORM_CHANNEL
from hw.isa.payload import Attend, Gather, Load, Matmul, Mem, Norm, Scatter, Store
from hw.lib.numbers import ceil_div
from hw.program.destination import real_tokens
from hw.program.footprint import footprint
from hw.program.program import Program
from hw.program.runs import word_bytes as run_word_bytes

Bytes = dict[str, dict[str, int]]


def on_chip_bytes(program: Program, config: Config) -> Bytes:
    """``{memory: {"read": bytes, "write": bytes}}`` of one run, counted as whole port words.

    A word counts in full whenever its port is enabled, whatever part of it is used: that is what
    the memory spends. In the FIFO of position constants, a row counts once each way.
    """
    names = (*(m.name.lower() for m in Mem), "distance", "code")
    found: Bytes = {name: {"read": 0, "write": 0} for name in names}
    for instr in program.instructions():
        match instr.body:
            case Matmul() as body:
                _matmul(found, body, config)
            case Norm() as body:
                elements = body.count * body.steps * config.lanes
                found["residual"]["read"] += elements
                found["norm"]["read"] += NORM_CHANNEL.size * elements
                found["act"]["write"] += elements
            case Attend() as body:
                _attend(found, body, config)
            case Load() as body:
                size = memories(config)[Space(body.dest)].bytes_
                found[body.dest.name.lower()]["write"] += body.words * size
            case Gather() as body:
                words = footprint(body, config).words_in
                found[body.mem.name.lower()]["write"] += words * run_word_bytes(body, config)
            case Scatter() as body:
                words = footprint(body, config).words_out
                found[body.mem.name.lower()]["read"] += words * run_word_bytes(body, config)
            case Store() as body:
                size = memories(config)[Space(body.src)].bytes_
                found[body.src.name.lower()]["read"] += body.words * size
    return found


def layer_dram_bytes(program: Program, config: Config) -> list[tuple[int, int]]:
    """Bytes that each layer's instructions read from and write to DRAM, beats in full."""
    found = [(0, 0) for _ in program.layers]
    instrs = program.instructions()[:-1]
    for instr, (_, layer, _, _) in zip(instrs, program.timeline, strict=True):
        moved = footprint(instr.body, config)
        read, write = moved.beats_in * config.axi_bytes, moved.beats_out * config.axi_bytes
        found[layer] = (found[layer][0] + read, found[layer][1] + write)
    return found


def _attend(found: Bytes, f: Attend, config: Config) -> None:
    rows = config.rows
    logits = ceil_div(f.keys, config.cols) * config.cols * rows
    found["logit"]["read"] += logits
    found["logit"]["write"] += logits * f.write_codes
    for way in ("read", "write"):
        found["distance"][way] += f.keys * rows
    found["code"]["write"] += ceil_div(f.keys * rows * CODE_BITS, 8)
    reads = f.d_words * ceil_div(f.keys, config.keys_per_cycle)
    found["code"]["read"] += ceil_div(reads * config.keys_per_cycle * rows * CODE_BITS, 8)
    # The first values of each further sweep wait for a cycle and are read twice.
    found["value"]["read"] += (reads + f.d_words - 1) * config.head_lanes
    found["act"]["write"] += f.d_words * rows * config.act_bytes


def _matmul(found: Bytes, f: Matmul, config: Config) -> None:
    chunks = f.tiles * f.groups * f.chunks
    params = footprint(f, config).param_sets * config.param_words
    found["act"]["read"] += chunks * config.rows * config.act_bytes
    found["stream"]["read"] += (chunks + params) * config.stream_bytes
    rows = real_tokens(f, config) * f.tiles
    found[f.dest.name.lower()]["write"] += rows * config.cols * (4 if f.dest is Mem.OUT else 1)
    if f.gelu:
        found["gelu"]["read"] += rows * config.cols
    if f.const_old and f.dest in (Mem.RESIDUAL, Mem.LOGIT):
        found["const"]["read"] += rows * config.const_bytes
    elif f.dest is Mem.RESIDUAL:
        found["residual"]["read"] += rows * config.cols
