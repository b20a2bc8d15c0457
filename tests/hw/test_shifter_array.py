import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.ops.shift_attention import ShiftAttention
from golden.ops.softmax import AttnFormat
from hw.shifter_array import ShifterArray


def run(unit: ShifterArray, jobs: list[tuple]) -> list[np.ndarray]:
    """Results [rows, lanes] of jobs (format, codes [rows, keys], values [keys, lanes], shift)."""
    steps = unit.lanes // unit.word
    results: list[np.ndarray] = []

    async def bench(ctx):
        ctx.set(unit.step, 1)
        await ctx.tick().repeat(steps)  # clear
        ctx.set(unit.step, 0)
        for fmt, codes, values, shift in jobs:
            ctx.set(unit.half, fmt is AttnFormat.HALF)
            for key in range(len(values)):
                ctx.set(unit.values, values[key].tolist())
                ctx.set(unit.codes, codes[:, key].tolist())
                ctx.set(unit.load, 1)
                ctx.set(unit.add, key > 0)
                await ctx.tick()
            ctx.set(unit.load, 0)
            ctx.set(unit.add, 1)
            await ctx.tick()
            ctx.set(unit.add, 0)
            await ctx.tick()  # a pause must change nothing
            ctx.set(unit.shift, shift)
            out = np.zeros((unit.rows, unit.lanes), np.int64)
            for step in range(steps):
                words = ctx.get(unit.words)
                word = np.array([words[i] for i in range(unit.rows * unit.word)])
                out[:, step * unit.word : (step + 1) * unit.word] = word.reshape(unit.rows, -1)
                ctx.set(unit.step, 1)
                await ctx.tick()
                ctx.set(unit.step, 0)
            results.append(out)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return results


@pytest.mark.parametrize(("rows", "lanes", "word"), [(1, 4, 4), (2, 8, 4), (3, 12, 4)])
def test_equals_shift_attention(rows: int, lanes: int, word: int) -> None:
    rng = np.random.default_rng(3)
    jobs, wanted = [], []
    shifts = [-14, -8, -3, 0, 1, 4, 8, 9, 10, 11, 20, 48]
    for i, shift in enumerate(shifts * 2):
        fmt = AttnFormat.HALF if i % 2 else AttnFormat.LOG2
        params, base = ShiftAttention(fmt=fmt), 15 if i % 2 else 14
        values = rng.integers(-128, 128, (12, lanes))
        if i % 4 >= 2:
            values[:] = np.where(rng.random((12, lanes)) < 0.5, -128, 127)
        codes = rng.integers(0, fmt.zero_code + 1, (rows, 12))
        codes[:, 0], codes[0, 1:] = 1, np.maximum(codes[0, 1:], 3)  # sums stay below 24 bits
        codes[:, 1:] = np.maximum(codes[:, 1:], 4)
        jobs.append((fmt, codes, values, base + shift))
        wanted.append(params.compute(codes, values, shift))
    for job, got, want in zip(
        jobs,
        run(ShifterArray(ShiftAttention(), rows=rows, lanes=lanes, word=word), jobs),
        wanted,
        strict=True,
    ):
        np.testing.assert_array_equal(got, want, err_msg=f"{job[0]} shift {job[3]}")
    everything = np.concatenate([w.ravel() for w in wanted])
    assert {-128, 127, 0} <= set(everything.tolist())


@pytest.mark.parametrize("fmt", AttnFormat)
def test_every_code_on_every_value(fmt: AttnFormat) -> None:
    """One key at a time: each code x each of 256 values, all fraction bits kept by the shift."""
    base = 14 if fmt is AttnFormat.LOG2 else 15
    unit = ShifterArray(ShiftAttention(), rows=4, lanes=64, word=16)
    values = np.arange(-128, 128).reshape(4, 64)
    jobs, wanted = [], []
    for first in range(0, fmt.zero_code + 1, 4):
        codes = np.arange(first, first + 4).reshape(4, 1)
        for part in values:
            shift = -min(first // (1 if fmt is AttnFormat.LOG2 else 2), base)
            jobs.append((fmt, codes, part[None], base + shift))
            wanted.append(ShiftAttention(fmt=fmt).compute(codes, part[None], shift))
    for got, want in zip(run(unit, jobs), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def test_extreme_sums() -> None:
    """The accumulator's whole range: 24 bits, both signs."""
    unit = ShifterArray(ShiftAttention(), rows=2, lanes=4, word=4)
    codes = np.zeros((2, 4), np.int64)
    codes[1, 3] = 1
    values = np.full((4, 4), -128)
    values[:, 1] = 127
    jobs = [(AttnFormat.LOG2, codes, values, s) for s in (14, 15, 16, 17, 23, 24, 25, 63)]
    for (_, _, _, s), got in zip(jobs, run(unit, jobs), strict=True):
        np.testing.assert_array_equal(got, ShiftAttention().compute(codes, values, s - 14))


def test_lanes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="12 lanes do not divide into words of 8"):
        ShifterArray(ShiftAttention(), lanes=12, word=8)


def test_a_result_that_does_not_round_is_caught(monkeypatch):
    def truncated(m, x, amount, bits, name):
        return (x >> (amount + 1))[:bits].as_signed()

    monkeypatch.setattr("hw.shifter_array.round_shift", truncated)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        test_equals_shift_attention(1, 4, 4)
