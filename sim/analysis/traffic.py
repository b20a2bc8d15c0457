"""Bytes that a program moves in and out of every on-chip memory."""

from __future__ import annotations

from hw.compiler.image.layout import word_bytes
from hw.config import CODE_BITS, Config
from hw.isa.instruction import Instr, Mem, Op
from hw.lib.numbers import ceil_div
from hw.program.program import Program

Bytes = dict[str, dict[str, int]]


def on_chip_bytes(program: Program, config: Config) -> Bytes:
    """``{memory: {"read": bytes, "write": bytes}}`` of one run, counted as whole port words.

    A word counts in full whenever its port is enabled, whatever part of it is used: that is what
    the memory spends. In the FIFO of position constants, a row counts once each way.
    """
    names = (*(m.name.lower() for m in Mem), "distance", "code")
    found: Bytes = {name: {"read": 0, "write": 0} for name in names}
    for instr in program.instructions():
        match instr.op:
            case Op.MATMUL:
                _matmul(found, instr, config)
            case Op.NORM:
                f = instr.fields
                elements = f["count"] * f["steps"] * config.lanes
                found["residual"]["read"] += elements
                found["norm"]["read"] += 8 * elements
                found["act"]["write"] += elements
            case Op.ATTEND:
                _attend(found, instr, config)
            case Op.LOAD:
                f = instr.fields
                memory = Mem(f["dest"])
                found[memory.name.lower()]["write"] += f["words"] * word_bytes(memory, config)
            case Op.PATCH:
                found["act"]["write"] += (
                    instr.fields["rows"]
                    * instr.fields["patches"]
                    * instr.fields["seg_words"]
                    * config.act_bytes
                )
            case Op.STORE:
                memory = Mem(instr.fields["src"])
                words = instr.fields["words"]
                found[memory.name.lower()]["read"] += words * word_bytes(memory, config)
    return found


def layer_dram_bytes(program: Program, config: Config) -> list[tuple[int, int]]:
    """Bytes that each layer's instructions read from and write to DRAM, beats in full."""
    found = [(0, 0) for _ in program.layers]
    instrs = program.instructions()[:-1]
    for instr, (_, layer, _, _) in zip(instrs, program.timeline, strict=True):
        read = write = 0
        if instr.op in (Op.LOAD, Op.PATCH):
            read = instr.fields["beats"] * config.axi_bytes
        elif instr.op is Op.STORE:
            each = word_bytes(Mem(instr.fields["src"]), config)
            write = instr.fields["words"] * ceil_div(each, config.axi_bytes) * config.axi_bytes
        found[layer] = (found[layer][0] + read, found[layer][1] + write)
    return found


def _attend(found: Bytes, instr: Instr, config: Config) -> None:
    f, rows = instr.fields, config.rows
    logits = ceil_div(f["keys"], config.cols) * config.cols * rows
    found["logit"]["read"] += logits
    found["logit"]["write"] += logits * f["write_codes"]
    for way in ("read", "write"):
        found["distance"][way] += f["keys"] * rows
    found["code"]["write"] += ceil_div(f["keys"] * rows * CODE_BITS, 8)
    reads = f["d_words"] * ceil_div(f["keys"], config.keys_per_cycle)
    found["code"]["read"] += ceil_div(reads * config.keys_per_cycle * rows * CODE_BITS, 8)
    # The first values of each further sweep wait for a cycle and are read twice.
    found["value"]["read"] += (reads + f["d_words"] - 1) * config.head_lanes
    found["act"]["write"] += f["d_words"] * rows * config.act_bytes


def _matmul(found: Bytes, instr: Instr, config: Config) -> None:
    f = instr.fields
    chunks = f["tiles"] * f["groups"] * f["chunks"]
    sweeps = 0 if f["keep_params"] else 1 if f["shared_params"] else f["tiles"]
    found["act"]["read"] += chunks * config.rows * config.act_bytes
    found["stream"]["read"] += (chunks + sweeps * config.param_words) * config.stream_bytes
    rows = ((f["groups"] - 1) * config.rows + f["rows_last"]) * f["tiles"]
    memory = Mem(f["dest"])
    found[memory.name.lower()]["write"] += rows * config.cols * (4 if memory is Mem.OUT else 1)
    if f["gelu"]:
        found["gelu"]["read"] += rows * config.cols
    if memory is Mem.RESIDUAL:
        if f["const_old"]:
            found["const"]["read"] += rows * config.const_bytes
        else:
            found["residual"]["read"] += rows * config.cols
