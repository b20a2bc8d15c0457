"""Bench of the ARRAY unit: plays cases of MATMUL instructions against `array_model`.

The cases are a pickled list of `Case` at ``$POTVIT_CASES``, with a reset before each. Memories are
NumPy arrays behind the unit's own ports; at the end of a case every byte of every memory, touched
or not, must equal the model's.
"""

from __future__ import annotations

import copy
import os
import pickle
import random
from collections import deque
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from hw.array.control.pace import STALL
from hw.formats.statistics import stat_layout
from hw.isa.instruction import PAYLOAD, Op
from hw.isa.latencies import ACCUMULATE, DRAIN, READ, ROW
from hw.precision import Precision
from sim.benches.array_model import Array, Case, Fields, MatmulModel, Memories, tile_cycles
from sim.kit.bench import Pauses, start

LIMIT = 20_000  # cycles without any progress
CAUSES = tuple(STALL.members)
READS = ("a_read", "w_read", "res_read", "stat_read")
NEXT = ("a_next", "w_next")


def pack(fields: Fields) -> int:
    """The payload of a MATMUL as an integer."""
    word = at = 0
    for name, width in PAYLOAD[Op.MATMUL]:
        assert 0 <= fields[name] < 1 << width, f"{name} = {fields[name]}"
        word |= fields[name] << at
        at += width
    return word


class Player:
    """One clock cycle after another: memories, streams and the checks that hold at all times."""

    def __init__(self, dut: Any, case: Case) -> None:
        self.dut, self.case = dut, case
        self.mem = copy.deepcopy(case.memories)
        self.config = self.mem.config
        self.narrow = self.config.precision is Precision.W4A4
        self.random = random.Random(case.seed)
        self.instrs = deque(pack(f) for f in case.instrs)
        self.constants = deque(case.constants)
        self.fifo: deque[Array] = deque()
        self.pauses = Pauses(case.instr_pause, case.seed + 1)
        self.const_pauses = Pauses(case.const_pause, case.seed + 2)
        self.pending: dict[str, int] = {}
        self.instr_valid = False
        self.done = self.writes = self.macs = self.cycle = self.faults = 0
        self.done_at = 0  # cycle of the last one
        self.stalls = dict.fromkeys(CAUSES, 0)
        self.first_last: list[int] = [0, 0]

    def port(self, name: str) -> Any:
        """A signal of the unit."""
        return getattr(self.dut, f"array__{name}")

    def get(self, name: str) -> int:
        """The value of a signal."""
        return int(self.port(name).value)

    async def load_gelu(self) -> None:
        """Fill the GELU tables through their port."""
        self.port("gelu_load__en").value = 1
        for i, entry in enumerate(self.mem.gelu):
            self.port("gelu_load__payload").value = i | (int(entry) & 0xFF) << 8
            await FallingEdge(self.dut.clk)
        self.port("gelu_load__en").value = 0

    def drive(self) -> None:
        """Inputs of this cycle."""
        noise = self.random.getrandbits
        for name in (*READS, *(NEXT if self.narrow else ())):
            port = self.port(f"{name}__data")
            if name in self.pending:
                port.value = self.pending[name]
            elif self.random.random() < 0.3:  # nobody may rely on data without a read
                port.value = noise(len(port))
        if self.instrs and (self.instr_valid or not self.pauses()):
            self.instr_valid = True
            self.port("instr__payload").value = self.instrs[0]
        self.port("instr__valid").value = self.instr_valid
        if self.constants and len(self.fifo) < self.config.const_rows and not self.const_pauses():
            self.fifo.append(self.constants.popleft())
        self.port("const_level").value = len(self.fifo)
        self.port("const__valid").value = bool(self.fifo)
        if self.fifo:
            raw = self.fifo[0].astype("<i2").tobytes()
            self.port("const__payload").value = int.from_bytes(raw, "little")

    def sample(self) -> None:
        """Outputs of this cycle."""
        self.cycle += 1
        if self.instr_valid and self.get("instr__ready"):
            self.instrs.popleft()
            self.instr_valid = False
        if self.get("const__ready"):
            assert self.fifo, "the drain took a constant that was not there"
            self.fifo.popleft()
        self.reads()
        stall, chunk = self.get("stall"), self.get("a_read__en")
        assert bin(stall).count("1") + chunk == 1, f"stall {stall:04b} with chunk {chunk}"
        for i, cause in enumerate(CAUSES):
            self.stalls[cause] += stall >> i & 1
        self.macs += self.get("macs")
        self.faults += self.get("fault")
        if chunk:
            self.first_last = [self.first_last[0] or self.cycle, self.cycle]
        self.write()
        if self.get("done"):
            self.done += 1
            self.done_at = self.cycle

    def reads(self) -> None:
        """Look up what the read ports ask for."""
        mem = self.mem
        self.pending = {}
        for name, words in (("a_read", mem.act), ("w_read", mem.stream)):
            if self.get(f"{name}__en"):
                raw = words[self.get(f"{name}__addr") % len(words)].tobytes()
                self.pending[name] = int.from_bytes(raw, "little")
        if self.narrow:
            self.next_reads()
        if self.get("res_read__en"):
            at = self.get("res_read__addr")
            assert not self.get("res_write__en") or at != self.address("res_write", "residual"), (
                f"residual word {at} read while it is written"
            )
            self.pending["res_read"] = int.from_bytes(mem.residual[at].tobytes(), "little")
        if self.get("stat_read__en"):
            at = self.get("stat_read__addr")
            assert not self.get("stat_write__en") or at != self.address("stat_write", "token")
            b1, b2 = self.stat_bits()
            s1, s2 = int(mem.s1[at]) & ((1 << b1) - 1), int(mem.s2[at]) & ((1 << b2) - 1)
            self.pending["stat_read"] = s1 | s2 << b1

    def next_reads(self) -> None:
        """Look up the words behind those read: low nibbles, and weights, else the same word."""
        mem, wide = self.mem, self.get("a_next__en")
        assert wide == self.get("w_next__en")
        if wide:
            assert self.get("a_read__en"), "a word behind none"
            nibbles = mem.act[(self.get("a_read__addr") + 1) % len(mem.act)].ravel() & 15
            raw = (nibbles[::2] | nibbles[1::2] << 4).tobytes()
            self.pending["a_next"] = int.from_bytes(raw, "little")
        if self.get("w_read__en"):
            raw = mem.stream[(self.get("w_read__addr") + wide) % len(mem.stream)].tobytes()
            self.pending["w_next"] = int.from_bytes(raw, "little")

    def stat_bits(self) -> tuple[int, int]:
        """Widths of S1 and S2."""
        layout = stat_layout(self.config)
        return layout["s1"].width, layout["s2"].width

    def address(self, port: str, memory: str) -> int:
        """The address on a write port."""
        return self.get(f"{port}__payload") & ((1 << self.config.addr_bits[memory]) - 1)

    def fields(self, port: str, *widths: int) -> list[int]:
        """Split a payload into fields from its low end; the rest comes last."""
        word = self.get(f"{port}__payload")
        out = []
        for width in widths:
            out.append(word & ((1 << width) - 1))
            word >>= width
        return [*out, word]

    def write(self) -> None:
        """Apply the writes of this cycle."""
        c, mem, bits = self.config, self.mem, self.config.addr_bits
        row_bits = max(1, (c.rows - 1).bit_length())

        def raw(data: int, count: int = c.cols) -> Array:
            return np.frombuffer(data.to_bytes(count, "little"), np.uint8)

        if self.get("act_write__en"):
            at, bank, half, data = self.fields("act_write", bits["act"], row_bits, 1)
            part = slice(half * c.lanes, (half + 1) * c.lanes)
            mem.act[at, bank, part if c.cols == c.lanes else slice(None)] = raw(data)
        if self.get("key_write__en"):
            lane_bits = max(1, (c.cols - 1).bit_length())
            at, lane, data = self.fields("key_write", bits["stream"], lane_bits)
            words = c.cols // c.lanes
            mem.stream[at : at + words, lane] = raw(data).reshape(words, c.lanes)
        if self.get("value_write__en"):
            part_bits = max(1, (c.head_lanes // c.cols - 1).bit_length())
            at, number, data = self.fields("value_write", bits["value"], part_bits)
            mem.value[at, number * c.cols : (number + 1) * c.cols] = raw(data)
        if self.get("logit_write__en"):
            at, bank, data = self.fields("logit_write", bits["logit"], row_bits)
            mem.logit[at, bank] = raw(data)
        if self.get("res_write__en"):
            at, data = self.fields("res_write", bits["residual"])
            mem.residual[at] = raw(data)
        if self.get("out_write__en"):
            at, data = self.fields("out_write", bits["out"])
            mem.out[at] = raw(data, 4 * c.cols).view("<i4")
        if self.get("max_write__en"):
            at, data = self.fields("max_write", bits["slot"])
            mem.maxima[at] = raw(data, c.rows)
        if self.get("stat_write__en"):
            b1, _ = self.stat_bits()
            at, s1, s2 = self.fields("stat_write", bits["token"], b1)
            mem.s1[at], mem.s2[at] = s1 - (s1 >> (b1 - 1) << b1), s2
        names = ("act", "key", "value", "logit", "res", "out")
        self.writes += sum(self.get(f"{name}_write__en") for name in names)


@cocotb.test()
async def matmul(dut: Any) -> None:
    """Run the cases: compare every memory, the MAC counter, and (optionally) the cycles."""
    cases: list[Case] = pickle.loads(Path(os.environ["POTVIT_CASES"]).read_bytes())
    assert cases, "no cases"
    for name in ("instr__valid", "const__valid", "gelu_load__en"):
        getattr(dut, f"array__{name}").value = 0
    await start(dut)
    for case in cases:
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        try:
            await play(dut, case)
        except AssertionError as error:
            raise AssertionError(f"{case.name}: {error}") from error


async def play(dut: Any, case: Case) -> None:
    """Run one case."""
    player = Player(dut, case)
    await player.load_gelu()
    model = MatmulModel(copy.deepcopy(case.memories), case.constants)
    rows_after = []
    for fields in case.instrs:
        if not case.faults:
            model.run(fields)
        rows_after.append(model.writes)

    idle = 0
    while player.done < len(case.instrs) and not (case.faults and player.faults):
        before = (player.done, player.writes, player.first_last[1])
        player.drive()
        await ReadOnly()
        player.sample()
        if player.done > before[0]:
            assert player.writes >= rows_after[player.done - 1], "done before the last write"
        idle = 0 if (player.done, player.writes, player.first_last[1]) != before else idle + 1
        assert idle < LIMIT, f"no progress after instruction {player.done}"
        await FallingEdge(dut.clk)
    player.port("instr__valid").value = 0
    player.port("const__valid").value = 0
    if case.faults:
        assert player.faults, "no fault"
        return
    assert not player.faults, "fault in a legal program"
    await FallingEdge(dut.clk)
    assert not player.get("busy"), "busy after the last instruction"
    compare(player, model)
    if case.timing:
        # From the first chunk to the last; only the first tile's parameters come before that.
        first = case.instrs[0]["chunks"]
        wanted = model.cycles - tile_cycles(player.config, first, fetch=True) + first
        cycles = player.first_last[1] - player.first_last[0] + 1
        assert cycles == wanted, f"{cycles} cycles, {wanted} expected"
        behind = player.done_at - player.first_last[1]
        wanted = READ + ACCUMULATE + ROW + player.config.rows - 1 + DRAIN
        assert behind == wanted, f"done {behind} cycles after the last chunk, {wanted} expected"


def compare(player: Player, model: MatmulModel) -> None:
    """Every byte of every memory, and that something was written at all."""
    assert model.writes, "the case writes nothing"
    assert player.writes == model.writes, f"{player.writes} rows written, {model.writes} expected"
    assert player.macs == model.macs, f"{player.macs} products counted, {model.macs} expected"
    changed = 0
    for name in Memories.NAMES:
        got, want = getattr(player.mem, name), getattr(model.mem, name)
        changed += int((want != getattr(player.case.memories, name)).sum())
        bad = np.argwhere(got != want)
        assert not len(bad), (
            f"{name}{bad[0].tolist()}: got {got[tuple(bad[0])]}, want {want[tuple(bad[0])]}"
            f" ({len(bad)} of {got.size} differ)"
        )
    assert changed, "nothing was compared: no memory was to change"
