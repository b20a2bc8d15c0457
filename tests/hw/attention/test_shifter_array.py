import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.ops.shift_attention import ShiftAttention
from golden.ops.softmax import AttnFormat
from hw.attention.shifter_array import ShifterArray
from hw.isa.limits import SHIFTS


def run(unit: ShifterArray, jobs: list[tuple]) -> list[np.ndarray]:
    """Results [rows, lanes] of jobs (format, codes [rows, keys], values [keys, lanes], shift)."""
    together = unit.keys
    results: list[np.ndarray] = []

    async def bench(ctx):
        for number, (fmt, codes, values, shift) in enumerate(jobs):
            ctx.set(unit.half, fmt is AttnFormat.HALF)
            for at in range(0, len(values), together):
                count = min(together, len(values) - at)
                group = np.full((together, unit.lanes), 77)  # what is not real adds nothing
                group[:count] = values[at : at + count]
                chosen = np.ones((unit.rows, together), np.int64)
                chosen[:, :count] = codes[:, at : at + count]
                ctx.set(unit.values, group.ravel().tolist())
                ctx.set(unit.codes, chosen.ravel().tolist())
                ctx.set(unit.real, (1 << count) - 1)
                ctx.set(unit.valid, 1)
                ctx.set(unit.first, at == 0)
                await ctx.tick()
                if number % 2:  # a pause must change nothing, whatever else comes
                    ctx.set(unit.valid, 0)
                    ctx.set(unit.first, at % 2)
                    await ctx.tick()
            ctx.set(unit.valid, 0)
            await ctx.tick()
            ctx.set(unit.shift, shift)
            words = ctx.get(unit.words)
            out = [words[i] for i in range(unit.rows * unit.lanes)]
            results.append(np.array(out, np.int64).reshape(unit.rows, unit.lanes))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return results


@pytest.mark.parametrize(("rows", "keys", "lanes"), [(1, 1, 4), (2, 2, 4), (3, 4, 3), (1, 8, 2)])
def test_equals_shift_attention(rows: int, keys: int, lanes: int) -> None:
    rng = np.random.default_rng(3)
    jobs, wanted = [], []
    shifts = [-6, -5, -4, -3, -2, -1, 0, 1, 2, 4, 7, 8]
    for i, shift in enumerate(shifts * 2):
        fmt = AttnFormat.HALF if i % 2 else AttnFormat.LOG2
        params, base = ShiftAttention(fmt=fmt), 15 if i % 2 else 14
        values = rng.integers(-128, 128, (13, lanes))
        if i % 4 >= 2:
            values[:] = np.where(rng.random((13, lanes)) < 0.5, -128, 127)
        codes = rng.integers(0, fmt.zero_code + 1, (rows, 13))
        codes[:, 0], codes[0, 1:] = 1, np.maximum(codes[0, 1:], 3)  # sums stay below 24 bits
        codes[:, 1:] = np.maximum(codes[:, 1:], 4)
        jobs.append((fmt, codes, values, base + shift))
        wanted.append(params.compute(codes, values, shift))
    for job, got, want in zip(
        jobs,
        run(ShifterArray(ShiftAttention(), rows=rows, keys=keys, lanes=lanes), jobs),
        wanted,
        strict=True,
    ):
        np.testing.assert_array_equal(got, want, err_msg=f"{job[0]} shift {job[3]}")
    everything = np.concatenate([w.ravel() for w in wanted])
    assert {-128, 127, 0} <= set(everything.tolist())


@pytest.mark.parametrize("fmt", AttnFormat)
def test_every_code_on_every_value(fmt: AttnFormat) -> None:
    """Each code x each of 256 values, added so often that the result shows the lowest bit."""
    base = 14 if fmt is AttnFormat.LOG2 else 15
    unit = ShifterArray(ShiftAttention(), rows=1, keys=8, lanes=64)
    values = np.arange(-128, 128).reshape(4, 64)
    jobs, wanted = [], []
    for code in range(fmt.zero_code + 1):
        up = max(0, base - (code if fmt is AttnFormat.LOG2 else code >> 1))
        shift, times = max(SHIFTS.start, up), 1 << max(0, SHIFTS.start - up)
        codes = np.full((1, times), code)
        for part in values:
            repeated = np.tile(part, (times, 1))
            jobs.append((fmt, codes, repeated, shift))
            wanted.append(ShiftAttention(fmt=fmt).compute(codes, repeated, shift - base))
            if code % 2 == 0 or fmt is AttnFormat.LOG2:
                assert (wanted[-1] == part * (code != fmt.zero_code)).all()
    for got, want in zip(run(unit, jobs), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def test_extreme_sums() -> None:
    """The accumulator's whole range: 24 bits, both signs."""
    unit = ShifterArray(ShiftAttention(), rows=2, keys=4, lanes=4)
    codes = np.zeros((2, 4), np.int64)
    codes[1, 3] = 1
    values = np.full((4, 4), -128)
    values[:, 1] = 127
    jobs = [(AttnFormat.LOG2, codes, values, s) for s in SHIFTS]
    for (_, _, _, s), got in zip(jobs, run(unit, jobs), strict=True):
        np.testing.assert_array_equal(got, ShiftAttention().compute(codes, values, s - 14))


def test_a_result_that_does_not_round_is_caught(monkeypatch):
    def truncated(m, x, amount, bits, name):
        return (x >> (amount + 1))[:bits].as_signed()

    monkeypatch.setattr("hw.attention.shifter_array.round_shift", truncated)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        test_equals_shift_attention(1, 4, 4)
