"""cocotb bench of the ATTN unit: instructions against LogIntSoftmax and ShiftAttention."""

from __future__ import annotations

import os
import pickle
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import FallingEdge, ReadOnly

from golden.ops.shift_attention import ShiftAttention
from golden.ops.softmax import (
    RULE_CENTRED,
    RULE_FQ,
    RULE_HALF,
    AttnFormat,
    CodeRule,
    ExpForm,
    LogIntSoftmax,
)
from hw.config import Config
from hw.isa import latencies
from hw.isa.instruction import HEADER_BITS, Instr
from hw.isa.payload import Attend
from sim.kit.bench import Pauses, drive, read_port, read_request, serve, start
from sim.kit.bench_config import bench_config, bench_stalls

Ints = npt.NDArray[np.int64]
UNTOUCHED = 0xAA


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row group: logits [rows, keys], values [keys, d], and how to turn them into results."""

    logits: Ints
    values: Ints
    frac: int
    fmt: AttnFormat = AttnFormat.LOG2
    rule: CodeRule = RULE_CENTRED
    shift: int = 0
    write_codes: bool = False

    def result(self, form: ExpForm) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
        """Codes and attention x V as the operators define them."""
        softmax = LogIntSoftmax(form=form, fmt=self.fmt, rule=self.rule)
        codes = softmax.compute(self.logits, -self.frac)
        return codes, ShiftAttention(fmt=self.fmt).compute(codes, self.values, self.shift)


def to_int(values: npt.NDArray[Any]) -> int:
    """Bytes of an array as one little-endian integer."""
    return int.from_bytes(np.ascontiguousarray(values, dtype=np.int8).tobytes(), "little")


def to_bytes(word: int, count: int) -> npt.NDArray[np.uint8]:
    """The bytes of a memory word."""
    return np.frombuffer(word.to_bytes(count, "little"), np.uint8)


class Model:
    """Memories around the unit, filled by an allocator that starts again when they are full."""

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        c = config
        noise = rng.integers(0, 256, (c.logit_words, c.rows * c.cols), np.uint8)
        self.logit = noise
        self.maxima = rng.integers(-128, 128, (c.slots, c.rows))
        self.value = rng.integers(-128, 128, (c.value_words, c.head_lanes))
        self.act = np.full((c.act_words, c.rows * c.act_bytes), UNTOUCHED, np.uint8)
        self.want_logit, self.want_act = noise.copy(), self.act.copy()
        self.instructions: list[int] = []
        self.at = {"logit": 0, "value": 0, "act": 0, "slot": 0}
        self.codes_seen: dict[AttnFormat, set[int]] = {f: set() for f in AttnFormat}
        self.results_seen: set[int] = set()
        self.elements = 0

    def _place(self, memory: str, words: int, size: int) -> int | None:
        at = self.at[memory]
        if at + words > size:
            return None
        self.at[memory] = at + words
        return at

    def add(self, case: Case) -> bool:
        """Append an instruction; tell whether there was room for it."""
        c = self.config
        rows, keys = case.logits.shape
        d = case.values.shape[1]
        assert d % c.act_bytes == 0, "results come in whole words"
        words, d_words = -(-keys // c.cols), -(-d // c.act_bytes)
        before = dict(self.at)
        l_addr = self._place("logit", words, c.logit_words)
        v_words = -(-keys // c.keys_per_cycle) * c.keys_per_cycle
        v_addr = self._place("value", v_words, c.value_words)
        d_addr = self._place("act", d_words, c.act_words)
        slot = self._place("slot", 1, c.slots)
        if l_addr is None or v_addr is None or d_addr is None or slot is None:
            self.at = before
            return False
        codes, y = case.result(c.exp_form)
        self.codes_seen[case.fmt] |= set(codes.ravel().tolist())
        self.results_seen |= set(y.ravel().tolist())
        tiles = self.rng.integers(-128, 128, (rows, words * c.cols))  # noise past the last key
        tiles[:, :keys] = case.logits
        tiles = tiles.reshape(rows, words, c.cols).transpose(1, 0, 2).reshape(words, -1)
        self.logit[l_addr : l_addr + words] = tiles.astype(np.int8).view(np.uint8)
        self.want_logit[l_addr : l_addr + words] = self.logit[l_addr : l_addr + words]
        if case.write_codes:
            full = np.zeros((rows, words * c.cols), np.uint8)
            full[:, :keys] = codes
            self.want_logit[l_addr : l_addr + words] = (
                full.reshape(rows, words, c.cols).transpose(1, 0, 2).reshape(words, -1)
            )
        self.maxima[slot] = case.logits.max(1)
        self.value[v_addr : v_addr + keys, :d] = case.values
        self.want_act[d_addr : d_addr + d_words] = (
            y.reshape(rows, d_words, c.act_bytes).transpose(1, 0, 2).reshape(d_words, -1)
        ).view(np.uint8)
        base = 14 if case.fmt is AttnFormat.LOG2 else 15
        self.elements += y.size + (codes.size if case.write_codes else 0)
        fields = {
            "l_addr": l_addr, "slot": slot, "keys": keys, "frac": case.frac,
            "half": int(case.fmt is AttnFormat.HALF), "fq": int(case.rule.fq),
            "odd": case.rule.odd, "even": case.rule.even, "v_addr": v_addr,
            "shift": base + case.shift, "d_addr": d_addr, "d_words": d_words,
            "write_codes": int(case.write_codes),
        }  # fmt: skip
        raw = Instr(body=Attend.of(fields)).pack()
        self.instructions.append(int.from_bytes(raw, "little") >> HEADER_BITS)
        return True

    def value_word(self, addr: int) -> int:
        """A word of the value buffer: the P tokens of its banks, 2K channels of each."""
        together = self.config.keys_per_cycle
        tokens = self.value[addr - addr % together :][:together]
        first = addr % together * self.config.act_bytes
        return to_int(tokens[:, first : first + self.config.act_bytes])

    def write_act(self, payload: int) -> None:
        """Take a result word of all banks."""
        bits, size = self.config.addr_bits["act"], self.config.rows * self.config.act_bytes
        self.act[payload & ((1 << bits) - 1)] = to_bytes(payload >> bits, size)

    def write_code(self, payload: int) -> None:
        """Take a code word of all banks."""
        bits, size = self.config.addr_bits["logit"], self.config.rows * self.config.cols
        self.logit[payload & ((1 << bits) - 1)] = to_bytes(payload >> bits, size)

    def check(self) -> int:
        """Compare both memories, untouched words included; return the results compared."""
        assert self.elements, "nothing compared"
        for name, got, want in (
            ("logit", self.logit, self.want_logit), ("act", self.act, self.want_act),
        ):  # fmt: skip
            bad = np.argwhere(got != want)
            assert not len(bad), (
                f"{name} word {bad[0][0]} byte {bad[0][1]}: got {got[tuple(bad[0])]}, "
                f"want {want[tuple(bad[0])]}; {len(bad)} differ"
            )
        return self.elements


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


def corner_logits(rng: np.random.Generator, rows: int, keys: int) -> Ints:
    """Rows in turn: all equal, one-hot maximum, all -128, full range, narrow, two-level, ramps."""
    hot = np.full(keys, -128)
    hot[int(rng.integers(keys))] = 127
    kinds = [
        np.full(keys, 5), hot, np.full(keys, -128), rng.integers(-128, 128, keys),
        rng.integers(-6, 7, keys), np.where(rng.random(keys) < 0.1, 90, 40),
        np.arange(keys) % 256 - 128, 127 - np.arange(keys) * int(rng.integers(2, 9)) % 256,
    ]  # fmt: skip
    first = int(rng.integers(len(kinds)))
    return np.stack([kinds[(first + r) % len(kinds)] for r in range(rows)]).astype(np.int64)


RULES = [
    (AttnFormat.LOG2, RULE_CENTRED),
    (AttnFormat.LOG2, RULE_FQ),
    (AttnFormat.HALF, RULE_HALF),
    (AttnFormat.LOG2, CodeRule(odd=511)),
    (AttnFormat.HALF, CodeRule(odd=257, even=480)),
]


def random_case(rng: np.random.Generator, config: Config, keys: int, which: int) -> Case:
    """Corner or random rows under the rule ``which``, with values that reach both saturations."""
    fmt, rule = RULES[which % len(RULES)]
    rows = config.rows
    wide = rng.integers(2)
    logits = corner_logits(rng, rows, keys)
    if wide:
        centre = rng.integers(-60, 60, (rows, 1))
        logits = np.clip(np.rint(rng.normal(centre, rng.uniform(2, 40), (rows, keys))), -128, 127)
    d = int(rng.integers(1, config.head_lanes // config.act_bytes + 1)) * config.act_bytes
    values = rng.integers(-128, 128, (keys, d))
    if rng.integers(3) == 0:
        values[:, : d // 2], values[:, d // 2 :] = -128, 127
    return Case(
        logits=logits.astype(np.int64), values=values, frac=int(rng.integers(0, 6)), fmt=fmt,
        rule=rule, shift=int(rng.integers(-6, 9)), write_codes=bool(rng.integers(2)),
    )  # fmt: skip


def key_counts(config: Config) -> list[int]:
    """Key counts that the logit and value memories of ``config`` can hold."""
    longest = min(config.max_keys, config.value_words, config.logit_words * config.cols)
    wanted = {1, 2, config.cols - 1, config.cols, config.cols + 1, 17, 197, 256, longest}
    return sorted(k for k in wanted if 1 <= k <= longest)


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
    cases = [random_case(rng, config, *points[i]) for i in order]
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
