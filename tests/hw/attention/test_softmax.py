"""Softmax row lanes: both passes against LogIntSoftmax, the coding pass with pauses."""

import numpy as np
import pytest

from golden.ops.softmax import (
    RULE_CENTRED,
    RULE_FQ,
    RULE_HALF,
    AttnFormat,
    CodeRule,
    ExpForm,
    LogIntSoftmax,
)
from hw.attention.softmax import SoftmaxUnit
from hw.attention.softmax_sum import RowSum
from hw.isa.latencies import CODE, SUM

ROWS = 3


def rows_of(rng, keys):
    hot = np.full(keys, -128)
    hot[-1] = 127
    kinds = [
        hot, np.full(keys, -128), rng.integers(-128, 128, keys), rng.integers(-9, 10, keys),
        np.arange(keys) % 256 - 128, np.full(keys, 127),
    ]  # fmt: skip
    return np.stack([kinds[i] for i in rng.permutation(len(kinds))[:ROWS]])


def jobs(rng, form, lengths):
    rules = [
        (AttnFormat.LOG2, RULE_CENTRED), (AttnFormat.HALF, RULE_HALF),
        (AttnFormat.LOG2, RULE_FQ), (AttnFormat.HALF, CodeRule(fq=True, odd=300, even=440)),
    ]  # fmt: skip
    for keys in lengths:
        for frac in range(6):
            fmt, rule = rules[(keys + frac) % len(rules)]
            yield LogIntSoftmax(form=form, fmt=fmt, rule=rule), frac, rows_of(rng, keys)


@pytest.mark.parametrize("lengths", [(1, 2, 17, 64, 197, 256), (577, 1024)], ids=["256", "1024"])
@pytest.mark.parametrize("form", ExpForm)
def test_both_passes(form, lengths, simulate):
    rng = np.random.default_rng(4)
    unit = LogIntSoftmax(form=form).create(rows=ROWS, keys=lengths[-1])
    assert isinstance(unit, SoftmaxUnit)
    work = list(jobs(rng, form, lengths))
    compared = []

    async def bench(ctx):
        for params, frac, logits in work:
            ctx.set(unit.frac, frac)
            ctx.set(unit.load, 1)
            ctx.set(unit.maxima, logits.max(1).tolist())
            await ctx.tick()
            ctx.set(unit.load, 0)
            ctx.set(unit.sum_valid, 1)
            distances = []
            for key in logits.T:
                ctx.set(unit.sum_logits, key.tolist())
                await ctx.tick()
                assert ctx.get(unit.distance_valid)
                distances.append([ctx.get(unit.distances[r]) for r in range(ROWS)])
            assert (np.array(distances) == (logits.max(1)[:, None] - logits).T).all()
            ctx.set(unit.sum_valid, 0)
            await ctx.tick().repeat(SUM - 1)
            ctx.set(unit.half, params.fmt is AttnFormat.HALF)
            ctx.set(unit.fq, params.rule.fq)
            ctx.set(unit.odd, params.rule.odd)
            ctx.set(unit.even, params.rule.even)
            ctx.set(unit.take, 1)
            await ctx.tick()
            ctx.set(unit.take, 0)
            for name in ("frac", "half", "fq", "odd", "even"):
                ctx.set(getattr(unit, name), 0)
            got = []
            feed = np.concatenate([distances, np.zeros((CODE, ROWS), int)])
            for i, key in enumerate(feed):
                while rng.random() < 0.2:  # a pause: nothing moves
                    ctx.set(unit.en, 0)
                    ctx.set(unit.code_distances, rng.integers(0, 256, ROWS).tolist())
                    await ctx.tick()
                ctx.set(unit.en, 1)
                ctx.set(unit.code_distances, key.tolist())
                if i >= CODE:
                    codes = ctx.get(unit.codes)
                    got.append([codes[r] for r in range(ROWS)])
                await ctx.tick()
            ctx.set(unit.en, 0)
            want = params.compute(logits, -frac)
            np.testing.assert_array_equal(np.array(got).T, want, err_msg=f"{params} {frac}")
            compared.append(want)

    simulate(unit, bench)
    assert len(compared) == len(work)
    codes = np.concatenate([c.ravel() for c in compared])
    assert len(np.unique(codes)) >= 30


@pytest.mark.parametrize(("longest", "bits"), [(256, 24), (512, 25), (1024, 26)])
def test_row_sum_normalises_every_magnitude(longest, bits, simulate):
    rng = np.random.default_rng(5)
    unit = RowSum(longest)
    checked = []

    async def bench(ctx):
        for keys in (1, 2, 3, 5, 9, 17, 33, 129, 255, longest):
            for first in (32768, 65535):
                wanted = 0
                for i in range(keys):
                    mantissa = (
                        first if i == 0 or keys == longest else int(rng.integers(32768, 65536))
                    )
                    shift = 0 if i == 0 or keys == longest else int(rng.integers(0, 17))
                    wanted += mantissa >> shift
                    ctx.set(unit.valid, 1)
                    ctx.set(unit.mantissa, mantissa)
                    ctx.set(unit.shift, shift)
                    await ctx.tick()
                ctx.set(unit.valid, 0)
                await ctx.tick()
                exponent = wanted.bit_length() - 1
                assert ctx.get(unit.total) == wanted
                assert ctx.get(unit.exponent) == exponent
                assert ctx.get(unit.normal) == wanted << (bits - 1 - exponent)
                checked.append(exponent)
                ctx.set(unit.clear, 1)
                await ctx.tick()
                ctx.set(unit.clear, 0)

    simulate(unit, bench)
    assert {15, 16, bits - 1} <= set(checked)


def test_a_wrong_threshold_is_caught(simulate, monkeypatch):
    monkeypatch.setattr("hw.attention.softmax.FQ_THRESHOLD", 385)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        test_both_passes(ExpForm.BASE2, (1, 2, 17, 64, 197, 256), simulate)
