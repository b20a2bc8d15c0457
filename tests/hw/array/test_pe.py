"""Processing elements in every mode, exhaustively over each multiplier's operands.

A provider with several output channels gives the first the weights, and each further one others:
the same bytes with all bits inverted, so that it meets every pair as well.
"""

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode, PsMac
from hw.array.mac.operand_sums import ROW_UNIT, ColumnSum, RowSum, column_unit
from hw.array.mac.packed_pe import PackedPE
from hw.array.mac.pe import PE, accumulator_bits, offset_nibbles
from hw.precision import Precision

LANES = 8
PROVIDERS = [PE, PackedPE]


class Signed(wiring.Component):
    """A PE with its row and column sums: ``acc`` and ``drain`` are signed dot products."""

    def __init__(self, provider, *, precision=Precision.W4A8, lanes: int = LANES) -> None:
        self.precision, self.lanes = precision, lanes
        self.pe = provider(PsMac(lanes=lanes), precision)
        super().__init__(
            {
                "x_lo": In(signed(8)).array(lanes),
                "x_hi": In(signed(8)).array(lanes),
                "w": In(8).array(lanes),
                "v": In(8).array(lanes),  # meets the upper nibbles in 4x4 mode
                "w4": In(1),
                "x4": In(1),
                "first": In(1),
                "load": In(1),
                "drain": Out(signed(32)).array(provider.CHANNELS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self.lanes
        m.submodules.pe = pe = self.pe
        m.submodules.row = row = RowSum(lanes, self.precision)
        four_bit, narrow = (self.precision.has(mode) for mode in (MacMode.W4, MacMode.W4A4))
        x4 = Signal()
        m.d.sync += x4.eq(self.x4)
        m.d.comb += [part.first.eq(self.first) for part in (pe, row)]
        m.d.comb += [row.valid.eq(1), *(part.load.eq(self.load) for part in (pe, row))]
        if narrow:
            m.d.comb += [part.x4.eq(self.x4) for part in (pe, row)]
        if four_bit:
            m.d.comb += [part.w4.eq(self.w4) for part in (pe, row)]
        for k in range(lanes):
            x_lo, x_hi = (Cat(offset_nibbles(x[k], self.x4)) for x in (self.x_lo, self.x_hi))
            m.d.comb += [part.x_lo[k].eq(x_lo) for part in (pe, row)]
            if four_bit:
                m.d.comb += [part.x_hi[k].eq(x_hi) for part in (pe, row)]
        unit = column_unit(self.precision)
        for i, (channel, drain) in enumerate(zip(pe.channels, self.drain, strict=True)):
            m.submodules[f"column_{i}"] = column = ColumnSum(lanes, self.precision)
            columns = Signal.like(column.acc)
            with m.If(self.load):
                m.d.sync += columns.eq(column.acc)
            m.d.comb += [column.first.eq(self.first), column.valid.eq(1), column.w4.eq(self.w4)]
            if narrow:
                m.d.comb += column.x4.eq(x4)
            m.d.comb += drain.eq(channel.drain - row.drain * ROW_UNIT - columns * unit)
            for k in range(lanes):
                lo, hi = offset_nibbles(self.w[k] ^ (0xFF * i), self.w4)
                m.d.comb += [column.w_lo[k].eq(lo), column.w_hi[k].eq(hi)]
                if narrow:
                    upper = Mux(self.x4, self.v[k], self.w[k])
                    v_lo, v_hi = offset_nibbles(upper ^ (0xFF * i), self.w4)
                    for part in (column, channel):
                        m.d.comb += [part.v_lo[k].eq(v_lo), part.v_hi[k].eq(v_hi)]
                if four_bit:
                    m.d.comb += [channel.w_lo[k].eq(lo), channel.w_hi[k].eq(hi)]
                else:
                    m.d.comb += channel.w[k].eq(Cat(lo, hi))
        return m


def products(simulate, unit, x_lo, x_hi, w, mode, v=None):
    """Results of single-chunk dot products, one after the other through the pipeline.

    A list for each channel. In 4x4 mode the bytes ``x_lo`` and ``x_hi`` are two activations each,
    and the bytes ``v`` meet the upper ones.
    """
    got = []

    async def bench(ctx):
        ctx.set(unit.first, 1)
        ctx.set(unit.load, 1)
        ctx.set(unit.w4, mode is not MacMode.W8)
        ctx.set(unit.x4, mode is MacMode.W4A4)
        for i in range(len(w) + 3):
            if i < len(w):
                for k in range(w.shape[1]):
                    ctx.set(unit.x_lo[k], int(x_lo[i, k]))
                    ctx.set(unit.x_hi[k], int(x_hi[i, k]))
                    ctx.set(unit.w[k], int(w[i, k]) & 0xFF)
                    ctx.set(unit.v[k], int((w if v is None else v)[i, k]) & 0xFF)
            if i >= 3:
                got.append([ctx.get(drain) for drain in unit.drain])
            await ctx.tick()

    simulate(unit, bench)
    return np.array(got).T


SLOW = pytest.mark.slow
#: Every kind of element, those with 8x8 products alone last; what no preset has is tried rarely.
UNITS = [
    (PE, Precision.W4A4), (PackedPE, Precision.W4A8),
    pytest.param(PE, Precision.W4A8, marks=SLOW), pytest.param(PE, Precision.W8A8, marks=SLOW),
    pytest.param(PackedPE, Precision.W8A8, marks=SLOW),
]  # fmt: skip


def weights(w, channels):
    """The weights of each channel."""
    return [w, ~w][:channels]


def every_pair(seed):
    """All 65,536 (x, w) pairs of bytes, LANES a row, in an order that mixes the lanes."""
    pairs = np.random.default_rng(seed).permutation(1 << 16).reshape(-1, LANES)
    return (pairs & 255) - 128, (pairs >> 8) - 128


@pytest.mark.parametrize(("provider", "precision"), UNITS)
def test_8x8_exhaustive(simulate, precision, provider):
    x, w = every_pair(1)
    got = products(simulate, Signed(provider, precision=precision), x, x, w, MacMode.W8)
    for sums, own in zip(got, weights(w, provider.CHANNELS), strict=True):
        np.testing.assert_array_equal(sums, (x * own).sum(-1))
        np.testing.assert_array_equal(sums, PsMac(lanes=LANES).compute(x, x, own, MacMode.W8))


@pytest.mark.parametrize(("provider", "precision"), UNITS[:3])
def test_8x4_exhaustive(simulate, provider, precision):
    # Every byte pair as (x_lo, w); x_hi another permutation: both multipliers see every operand.
    x_lo, w = every_pair(2)
    x_hi = np.random.default_rng(3).permutation(x_lo.ravel()).reshape(x_lo.shape)
    assert len(np.unique(x_hi * 16 + (w >> 4))) == 256 * 16
    got = products(simulate, Signed(provider, precision=precision), x_lo, x_hi, w, MacMode.W4)
    for sums, own in zip(got, weights(w, provider.CHANNELS), strict=True):
        wanted = PsMac(lanes=LANES).compute(x_lo, x_hi, own, MacMode.W4)
        np.testing.assert_array_equal(sums, wanted)
        by_hand = (x_lo * (((own & 15) ^ 8) - 8) + x_hi * (own >> 4)).sum(-1)
        np.testing.assert_array_equal(sums, by_hand)


def nibbles(x):
    """The signed low and the signed upper nibbles of signed bytes."""
    return ((x & 15) ^ 8) - 8, x >> 4


def test_4x4_exhaustive(simulate):
    """Every pair of bytes at all four multipliers of a lane: 256 pairs of nibbles, 256 times."""
    x_lo, w = every_pair(5)
    x_hi, v = (np.random.default_rng(s).permutation(w.ravel()).reshape(w.shape) for s in (6, 7))
    unit = Signed(PE, precision=Precision.W4A4)
    (got,) = products(simulate, unit, x_lo, x_hi, w, MacMode.W4A4, v)
    pairs = [
        (activation, weight)
        for part in (0, 1)  # low nibbles of the activations meet w, upper ones v
        for activation, weight in zip(
            (nibbles(x_lo)[part], nibbles(x_hi)[part]), nibbles((w, v)[part]), strict=True
        )
    ]
    assert all(len(np.unique(a * 16 + b)) == 256 for a, b in pairs)
    np.testing.assert_array_equal(got, sum(a * b for a, b in pairs).sum(-1))
    lows, ups = ((nibbles(x_lo)[i], nibbles(x_hi)[i]) for i in (0, 1))
    x_los, x_his = (np.concatenate(pair, axis=1) for pair in zip(lows, ups, strict=True))
    wanted = PsMac(lanes=LANES).compute(x_los, x_his, np.concatenate([w, v], 1), MacMode.W4A4)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("provider", "precision", "mode"),
    [(provider, precision, mode) for precision in Precision for mode in precision.modes
     for provider in PROVIDERS if precision is not Precision.W4A4 or provider is PE],
)  # fmt: skip
def test_accumulates_chunks(simulate, mode, precision, provider):
    unit = Signed(provider, precision=precision)
    rng = np.random.default_rng(4)
    x_lo, x_hi = rng.integers(-128, 128, (2, 40, LANES))
    if mode is MacMode.W8:
        x_hi = x_lo
    w = rng.integers(-128, 128, (40, LANES))
    ends = [9, 10, 25, 39]  # last chunks of four dot products
    seen = []

    async def bench(ctx):
        ctx.set(unit.w4, mode is not MacMode.W8)
        ctx.set(unit.x4, mode is MacMode.W4A4)
        for i in range(45):
            for k in range(LANES):
                at = min(i, 39)
                ctx.set(unit.x_lo[k], int(x_lo[at, k]))
                ctx.set(unit.x_hi[k], int(x_hi[at, k]))
                ctx.set(unit.w[k], int(w[at, k]) & 0xFF)
                ctx.set(unit.v[k], int(w[at, k]) & 0xFF)
            ctx.set(unit.first, i - 1 in (0, 10, 11, 26))
            ctx.set(unit.load, i - 2 in ends)
            seen.append([ctx.get(drain) for drain in unit.drain])
            await ctx.tick()

    simulate(unit, bench)
    for c, own in enumerate(weights(w, provider.CHANNELS)):
        xs = (x_lo, x_hi)
        if mode is MacMode.W4A4:
            xs = [np.concatenate(nibbles(x), axis=1) for x in xs]
            own = np.concatenate([own, own], axis=1)
        single = PsMac(lanes=LANES).compute(*xs, own, mode)
        assert [seen[e + 3][c] for e in ends] == list(np.add.reduceat(single, [0, 10, 11, 26]))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_slots_form_a_shift_register(simulate, provider):
    psmac = PsMac(lanes=LANES)
    unit = psmac.create() if provider is PE else provider(psmac)

    async def bench(ctx):
        for c, channel in enumerate(unit.channels):
            ctx.set(channel.below, 77 + c)
        await ctx.tick()
        assert [ctx.get(channel.drain) for channel in unit.channels] == [77, 78][: unit.CHANNELS]
        ctx.set(unit.load, 1)
        await ctx.tick()
        assert not any(ctx.get(channel.drain) for channel in unit.channels)

    simulate(unit, bench)


@pytest.mark.parametrize("lanes", [2, 4, 16])
@pytest.mark.parametrize("precision", [Precision.W4A8, Precision.W8A8])
def test_guard_bits_hold_the_largest_sums(simulate, lanes, precision):
    """Packed products of the extremes, at every number of lanes, beside each other."""
    extremes = np.array([(x, w) for x in (-128, 127) for w in (-128, 127, 0x0F, -16)])
    x, w = (np.repeat(column[:, None], lanes, 1) for column in extremes.T)
    unit = Signed(PackedPE, precision=precision, lanes=lanes)
    got = products(simulate, unit, x, x, w, MacMode.W8)
    for sums, own in zip(got, weights(w, PackedPE.CHANNELS), strict=True):
        np.testing.assert_array_equal(sums, (x * own).sum(-1))


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_accumulator_bound(lanes):
    longest = 1023 * lanes * 255 * 255
    most = 1 << accumulator_bits(lanes)
    assert longest < most < 2 * longest
    assert 1023 * lanes * 2 * 255 * 15 < most
    assert 1023 * lanes * 4 * 15 * 15 < most


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("x", "w"), [(-128, 0x80), (127, 0x7F), (-128, 0x7F), (0, 0)])
def test_longest_dot_product_does_not_wrap(simulate, x, w, provider):
    unit = Signed(provider)

    async def bench(ctx):
        for k in range(LANES):
            ctx.set(unit.x_lo[k], x)
            ctx.set(unit.x_hi[k], x)
            ctx.set(unit.w[k], w)
        await ctx.tick()
        ctx.set(unit.first, 1)
        await ctx.tick()
        ctx.set(unit.first, 0)
        for _ in range(1022):
            await ctx.tick()
        ctx.set(unit.load, 1)
        await ctx.tick()
        for drain, own in zip(unit.drain, weights((w ^ 128) - 128, provider.CHANNELS), strict=True):
            assert ctx.get(drain) == 1023 * LANES * x * own

    simulate(unit, bench)
