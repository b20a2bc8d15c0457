import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.ops.rounding import rshr, saturate
from golden.ops.softmax import LogIntSoftmax
from hw.config import preset
from synth.ablation_units import DividerSoftmax, DyadicRequantizer, MultiplierArray
from synth.ablations import attention_row, compare, comparisons
from synth.generic import library

RNG = np.random.default_rng(7)


def simulate(unit, bench, *, clock=True):
    simulator = Simulator(unit)
    if clock:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("frac", [0, 3, 5])
def test_divider_softmax_gives_the_quotients(frac):
    logits = RNG.integers(-128, 128, 60)
    logits[:3] = 100, 127, 127
    if frac == 0:
        logits[1:] = -128  # one key has it all
    exponentials = np.asarray(LogIntSoftmax().exponential(logits.max() - logits, -frac), np.int64)
    wanted = np.minimum(255, 256 * exponentials // exponentials.sum())
    unit = DividerSoftmax()
    found = []

    async def bench(ctx):
        ctx.set(unit.maximum, int(logits.max()))
        ctx.set(unit.frac, frac)
        ctx.set(unit.load, 1)
        await ctx.tick()
        ctx.set(unit.load, 0)
        ctx.set(unit.sum_valid, 1)
        distances = []
        for logit in logits:
            ctx.set(unit.sum_logit, int(logit))
            await ctx.tick()
            distances.append(ctx.get(unit.distance))
        assert distances == (logits.max() - logits).tolist()
        ctx.set(unit.sum_valid, 0)
        await ctx.tick().repeat(3)
        ctx.set(unit.take, 1)
        await ctx.tick()
        ctx.set(unit.take, 0)
        for i in range(len(logits) + 3):
            ctx.set(unit.en, int(RNG.integers(2)))
            ctx.set(unit.divide_distance, distances[min(i, len(logits) - 1)])
            while not ctx.get(unit.en):
                await ctx.tick()
                ctx.set(unit.en, int(RNG.integers(2)))
            await ctx.tick()
            found.append(ctx.get(unit.probability))

    simulate(unit, bench)
    assert found[2 : 2 + len(logits)] == wanted.tolist()
    assert wanted.max() == 255 if frac == 0 else len(set(wanted.tolist())) > 3


def test_multiplier_array_adds_products_and_requantizes():
    rows, keys, lanes, groups, shift = 2, 3, 4, 10, 8
    unit = MultiplierArray(rows=rows, keys=keys, lanes=lanes)
    values = RNG.integers(-128, 128, (groups, keys, lanes))
    probabilities = RNG.integers(0, 17, (groups, rows, keys))
    probabilities[:, 1] = 0
    probabilities[0, 1] = 255, 1, 0
    sums = np.einsum("grk,gkl->rl", probabilities, values)
    wanted = saturate(rshr(sums, shift), 8)
    found = []

    async def bench(ctx):
        ctx.set(unit.shift, shift)
        for turn in range(2):  # the second replaces the first
            for group in range(groups):
                ctx.set(unit.valid, 1)
                ctx.set(unit.first, group == 0)
                ctx.set(unit.values, values[group].ravel().tolist())
                ctx.set(unit.probabilities, probabilities[group].ravel().tolist())
                await ctx.tick()
            ctx.set(unit.valid, 0)
            await ctx.tick().repeat(1 + turn)  # a pause must change nothing
            found.append([ctx.get(unit.words[i]) for i in range(rows * lanes)])

    simulate(unit, bench)
    for got in found:
        assert np.array_equal(np.array(got).reshape(rows, lanes), wanted)


def test_dyadic_requantizer_multiplies_rounds_and_saturates():
    unit = DyadicRequantizer()
    seen = set()

    async def bench(ctx):
        for _ in range(300):
            acc = int(RNG.integers(-(1 << 31), 1 << 31)) >> int(RNG.integers(0, 31))
            multiplier, shift = int(RNG.integers(0, 1 << 16)), int(RNG.integers(0, 64))
            ctx.set(unit.acc, acc)
            ctx.set(unit.multiplier, multiplier)
            ctx.set(unit.shift, shift)
            await ctx.delay(1e-9)
            exact = acc * multiplier
            rounded = (exact + (1 << shift >> 1)) >> shift
            wanted = max(-128, min(127, rounded))
            seen.add(wanted)
            assert ctx.get(unit.y) == wanted, (acc, multiplier, shift)

    simulate(unit, bench, clock=False)
    assert {-128, 127, 0} < seen
    assert len(seen) > 20


def test_every_comparison_names_both_sides():
    rows = comparisons(preset("tiny"))
    assert len({row["what"] for row in rows}) == 3
    for row in rows:
        assert row["ours_is"] != row["ordinary_is"]


def test_a_row_of_attention_is_its_softmax_and_all_its_lanes():
    config = preset("base")
    report = [
        {"ours": 600.0, "ordinary": 400.0},
        {"ours": 1600.0, "ordinary": 2400.0},  # 8 rows
    ]
    row = attention_row(config, report)
    assert (row["ours"], row["ordinary"], row["ratio"]) == (800.0, 700.0, 0.875)
    assert "one row of 64" in row["what"]


@pytest.mark.slow
def test_comparisons_on_tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {row["what"]: row["ratio"] for row in compare(preset("tiny"), library(None))}
    assert found["requantizer, one channel"] > 4
    assert len(found) == 4
    assert all(0.3 < ratio < 20 for ratio in found.values())
