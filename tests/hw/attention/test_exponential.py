import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.ops.softmax import EXP_LUT, ExpForm, LogIntSoftmax
from hw.attention.exponential import Exponential


@pytest.mark.parametrize("form", ExpForm)
def test_every_distance_and_exponent(form: ExpForm) -> None:
    unit = Exponential(form)
    got = np.zeros((6, 256, 2), np.int64)

    async def bench(ctx):
        for f in range(6):
            ctx.set(unit.frac, f)
            for t in range(256):
                ctx.set(unit.t, t)
                await ctx.delay(1e-9)
                got[f, t] = ctx.get(unit.mantissa), ctx.get(unit.shift)

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    mantissa, shift = got[..., 0], got[..., 1]
    want = np.stack([LogIntSoftmax(form=form).exponential(range(256), -f) for f in range(6)])
    np.testing.assert_array_equal(mantissa >> shift, want)
    assert (mantissa >> 15 == 1).all()
    assert ((shift == 16) == (want == 0)).all()
    assert shift.max() == 16
    assert len(np.unique(want)) > 100


@pytest.mark.parametrize("form", ExpForm)
def test_a_masked_key_has_none(form: ExpForm) -> None:
    """Where keys are masked the farthest distance is one, whose exponential is zero exactly."""
    unit = Exponential(form)
    got = {}

    async def bench(ctx):
        for f in range(6):
            ctx.set(unit.frac, f)
            for t in (0, 100, 254, 255):
                for masked in (0, 1):
                    ctx.set(unit.t, t)
                    ctx.set(unit.masked, masked)
                    await ctx.delay(1e-9)
                    got[f, t, masked] = ctx.get(unit.mantissa) >> ctx.get(unit.shift)

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(got) == 48
    for (f, t, masked), e in got.items():
        want = 0 if masked and t == 255 else LogIntSoftmax(form=form).exponential(t, -f)
        assert e == want, (f, t, masked)
    assert got[5, 255, 0] > 0


def test_one_wrong_table_entry_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hw.attention.exponential.EXP_LUT", (*EXP_LUT[:-1], EXP_LUT[-1] + 1))
    with pytest.raises(AssertionError, match="Mismatched elements"):
        test_every_distance_and_exponent(ExpForm.BASE2)
