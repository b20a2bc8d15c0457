"""cocotb bench of CodeSelect: numerators and row sums in bulk against LogIntSoftmax.codes."""

from __future__ import annotations

import os
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from cocotb.triggers import FallingEdge

from golden.ops.softmax import RULE_CENTRED, RULE_FQ, RULE_HALF, AttnFormat, CodeRule, LogIntSoftmax
from hw.attention.code_select import FQ_THRESHOLD, THRESHOLD_BITS, CodeSelect, normalise_threshold
from hw.attention.softmax_sum import sum_bits
from sim.kit.bench import start

Ints = npt.NDArray[np.int64]
LANES = 32

#: Keys of the longest row, by the lanes that are tested.
KEYS = "POTVIT_BENCH_KEYS"

SETTINGS = [
    (AttnFormat.LOG2, RULE_CENTRED),
    (AttnFormat.LOG2, RULE_FQ),
    (AttnFormat.HALF, RULE_HALF),
    (AttnFormat.LOG2, CodeRule(odd=1023)),
    (AttnFormat.LOG2, CodeRule(odd=1)),
    (AttnFormat.HALF, CodeRule(odd=256, even=511)),
    (AttnFormat.HALF, CodeRule(odd=700, even=0)),
]


class CodeSelectBank(wiring.Component):
    """`LANES` lanes on ports of whole bytes, so that vectors pack fast; one rule for all."""

    def __init__(self, keys: int) -> None:
        self.longest = keys
        super().__init__(
            {
                "mantissa": In(data.ArrayLayout(16, LANES)),
                "shift": In(data.ArrayLayout(8, LANES)),
                "normal": In(data.ArrayLayout(32, LANES)),
                "exponent": In(data.ArrayLayout(8, LANES)),
                "half": In(1),
                "fq": In(1),
                "odd": In(THRESHOLD_BITS),
                "even": In(THRESHOLD_BITS),
                "code": Out(data.ArrayLayout(8, LANES)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Lanes and the shared thresholds."""
        m = Module()
        rule: Any = None
        for i in range(LANES):
            m.submodules[f"lane{i}"] = lane = CodeSelect(self.longest)
            if rule is None:
                rule = Signal.like(lane.rule)
                m.d.comb += [rule.half.eq(self.half), rule.fq.eq(self.fq)]
                normalise_threshold(m, self.odd, rule.odd)
                normalise_threshold(m, self.even, rule.even)
            m.d.comb += [
                lane.en.eq(1),
                lane.mantissa.eq(self.mantissa[i]),
                lane.shift.eq(self.shift[i]),
                lane.normal.eq(self.normal[i]),
                lane.exponent.eq(self.exponent[i]),
                lane.rule.eq(rule),
                self.code[i].eq(lane.code),
            ]
        return m


def leading_one(x: Ints) -> Ints:
    """Position of the leading one; 0 for 0."""
    return np.maximum(np.frexp(x.astype(np.float64))[1] - 1, 0)


def small_pairs() -> tuple[Ints, Ints]:
    """Every E in 0..63 under every S that can contain it, up to 300."""
    e, s = np.meshgrid(np.arange(64), np.arange(1, 301), indexing="ij")
    keep = s >= e
    return e[keep].astype(np.int64), s[keep].astype(np.int64)


def random_pairs(rng: np.random.Generator, count: int, keys: int) -> tuple[Ints, Ints]:
    """Half spread over all magnitudes, half on the thresholds of the rules, extremes included."""
    most = keys * 65535
    e = (rng.integers(32768, 65536, count) >> rng.integers(0, 17, count)).astype(np.int64)
    s = np.exp2(rng.uniform(0, sum_bits(keys), count)).astype(np.int64)
    near = rng.random(count) < 0.5
    factors = np.array([352, 304, 431, 384, 640, 1023, 1, 256, 511, 700])
    scaled = factors[rng.integers(0, len(factors), count)] * e << rng.integers(0, 15, count)
    edge = (scaled - rng.integers(0, 2, count) * 128 * e >> 8) + rng.integers(-2, 3, count)
    s = np.where(near & (edge < most), edge, s)
    e[:4], s[:4] = (0, 65535, 65535, 1), (most, 65535, most, most)
    return e, np.clip(s, np.maximum(e, 1), most)


def fq_edges(rng: np.random.Generator, keys: int) -> tuple[Ints, Ints]:
    """Sums of the top octave beside FQ-ViT's thresholds ``(3 * 2**n - 1) * E = 2 * S``.

    There the last bit of ``E / 2`` decides, and no other pair of numbers tells whether it is kept.
    """
    top = sum_bits(keys) - 1
    e = np.repeat(rng.integers(1 << 11, 1 << 16, 4096) | 1, 3)
    n = top - leading_one(3 * e) + 1
    s = ((3 << n) - 1) * e // 2 + np.tile(np.arange(-1, 2), 4096)
    keep = s <= keys * 65535
    return e[keep], s[keep]


@cocotb.test()
async def codes(dut: Any) -> None:
    """All settings: small pairs exhaustively, then POTVIT_BENCH_VECTORS random ones."""
    rng = np.random.default_rng(21)
    count = int(os.environ.get("POTVIT_BENCH_VECTORS", "1000000"))
    keys = int(os.environ[KEYS])
    await start(dut)
    compared = 0
    for index, (fmt, rule) in enumerate(SETTINGS):
        pairs = [small_pairs(), random_pairs(rng, -(-count // len(SETTINGS)), keys)]
        if rule.fq:
            pairs.append(fq_edges(rng, keys))
        e, s = (np.concatenate([p[i] for p in pairs]) for i in range(2))
        e, s = e[: len(e) // LANES * LANES], s[: len(s) // LANES * LANES]
        want = LogIntSoftmax(fmt=fmt, rule=rule).codes(e, s)
        dut.select__half.value = int(fmt is AttnFormat.HALF)
        dut.select__fq.value = int(rule.fq)
        dut.select__odd.value = FQ_THRESHOLD if rule.fq else rule.odd
        dut.select__even.value = FQ_THRESHOLD if rule.fq else rule.even
        got = await sweep(dut, rng, e, s, sum_bits(keys))
        bad = np.flatnonzero(got != want)
        assert not len(bad), (
            f"setting {index}: E={e[bad[0]]} S={s[bad[0]]}: got {got[bad[0]]}, "
            f"want {want[bad[0]]}; {len(bad)} of {len(want)} differ"
        )
        if index < 3:
            assert set(want.tolist()) == set(range(fmt.zero_code + 1)), "a code never occurred"
        compared += len(want)
    assert compared > count
    print(f"compared {compared} codes")


async def sweep(
    dut: Any, rng: np.random.Generator, e: Ints, s: Ints, bits: int
) -> npt.NDArray[np.uint8]:
    """Codes of all pairs, `LANES` at a time, each held for the two stages."""
    shift = np.where(e > 0, 15 - leading_one(e), 16)
    noise = rng.integers(0, 1 << 16, len(e)) & ((1 << shift) - 1)  # E's shift drops these bits
    mantissa = np.where(e > 0, e << shift, 1 << 15) | noise
    exponent = leading_one(s)
    columns = {
        "mantissa": mantissa.astype("<u2"),
        "shift": shift.astype("u1"),
        "normal": (s << (bits - 1 - exponent)).astype("<u4"),
        "exponent": exponent.astype("u1"),
    }
    got = []
    for at in range(0, len(e), LANES):
        for name, column in columns.items():
            word = int.from_bytes(column[at : at + LANES].tobytes(), "little")
            getattr(dut, f"select__{name}").value = word
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        got.append(int(dut.select__code.value).to_bytes(LANES, "little"))
    return np.frombuffer(b"".join(got), np.uint8)
