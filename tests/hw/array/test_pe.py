"""Processing elements in every mode, exhaustively over each multiplier's operands.

A provider with several output channels gives the first the weights, and each further one others:
the same bytes with all bits inverted, so that it meets every pair as well.
"""

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode, PsMac
from hw.array.mac.operand_sums import COLUMN_UNIT, ROW_UNIT, ColumnSum, RowSum
from hw.array.mac.packed_pe import PackedPE
from hw.array.mac.pe import PE, accumulator_bits, offset_byte, offset_nibbles

LANES = 8
PROVIDERS = [PE, PackedPE]


class Signed(wiring.Component):
    """A PE with its row and column sums: ``acc`` and ``drain`` are signed dot products."""

    def __init__(self, provider, *, four_bit: bool = True, lanes: int = LANES) -> None:
        self.four_bit, self.lanes = four_bit, lanes
        self.pe = provider(PsMac(lanes=lanes), four_bit=four_bit)
        super().__init__(
            {
                "x_lo": In(signed(8)).array(lanes),
                "x_hi": In(signed(8)).array(lanes),
                "w": In(8).array(lanes),
                "w4": In(1),
                "first": In(1),
                "load": In(1),
                "drain": Out(signed(32)).array(provider.CHANNELS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self.lanes
        m.submodules.pe = pe = self.pe
        m.submodules.row = row = RowSum(lanes, four_bit=self.four_bit)
        m.d.comb += [part.first.eq(self.first) for part in (pe, row)]
        m.d.comb += [row.valid.eq(1), *(part.load.eq(self.load) for part in (pe, row))]
        if self.four_bit:
            m.d.comb += [part.w4.eq(self.w4) for part in (pe, row)]
        for k in range(lanes):
            m.d.comb += [part.x_lo[k].eq(offset_byte(self.x_lo[k])) for part in (pe, row)]
            if self.four_bit:
                m.d.comb += [part.x_hi[k].eq(offset_byte(self.x_hi[k])) for part in (pe, row)]
        for i, (channel, drain) in enumerate(zip(pe.channels, self.drain, strict=True)):
            m.submodules[f"column_{i}"] = column = ColumnSum(lanes)
            columns = Signal.like(column.acc)
            with m.If(self.load):
                m.d.sync += columns.eq(column.acc)
            m.d.comb += [column.first.eq(self.first), column.valid.eq(1), column.w4.eq(self.w4)]
            m.d.comb += drain.eq(channel.drain - row.drain * ROW_UNIT - columns * COLUMN_UNIT)
            for k in range(lanes):
                lo, hi = offset_nibbles(self.w[k] ^ (0xFF * i), self.w4)
                m.d.comb += [column.w_lo[k].eq(lo), column.w_hi[k].eq(hi)]
                if self.four_bit:
                    m.d.comb += [channel.w_lo[k].eq(lo), channel.w_hi[k].eq(hi)]
                else:
                    m.d.comb += channel.w[k].eq(Cat(lo, hi))
        return m


def products(simulate, unit, x_lo, x_hi, w, mode):
    """Results of single-chunk dot products, one after the other through the pipeline.

    A list for each channel.
    """
    got = []

    async def bench(ctx):
        ctx.set(unit.first, 1)
        ctx.set(unit.load, 1)
        ctx.set(unit.w4, mode is MacMode.W4)
        for i in range(len(w) + 3):
            if i < len(w):
                for k in range(w.shape[1]):
                    ctx.set(unit.x_lo[k], int(x_lo[i, k]))
                    ctx.set(unit.x_hi[k], int(x_hi[i, k]))
                    ctx.set(unit.w[k], int(w[i, k]) & 0xFF)
            if i >= 3:
                got.append([ctx.get(drain) for drain in unit.drain])
            await ctx.tick()

    simulate(unit, bench)
    return np.array(got).T


def weights(w, channels):
    """The weights of each channel."""
    return [w, ~w][:channels]


def every_pair(seed):
    """All 65,536 (x, w) pairs of bytes, LANES a row, in an order that mixes the lanes."""
    pairs = np.random.default_rng(seed).permutation(1 << 16).reshape(-1, LANES)
    return (pairs & 255) - 128, (pairs >> 8) - 128


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("four_bit", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_8x8_exhaustive(simulate, four_bit, provider):
    x, w = every_pair(1)
    got = products(simulate, Signed(provider, four_bit=four_bit), x, x, w, MacMode.W8)
    for sums, own in zip(got, weights(w, provider.CHANNELS), strict=True):
        np.testing.assert_array_equal(sums, (x * own).sum(-1))
        np.testing.assert_array_equal(sums, PsMac(lanes=LANES).compute(x, x, own, MacMode.W8))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_8x4_exhaustive(simulate, provider):
    # Every byte pair as (x_lo, w); x_hi another permutation: both multipliers see every operand.
    x_lo, w = every_pair(2)
    x_hi = np.random.default_rng(3).permutation(x_lo.ravel()).reshape(x_lo.shape)
    assert len(np.unique(x_hi * 16 + (w >> 4))) == 256 * 16
    got = products(simulate, Signed(provider), x_lo, x_hi, w, MacMode.W4)
    for sums, own in zip(got, weights(w, provider.CHANNELS), strict=True):
        wanted = PsMac(lanes=LANES).compute(x_lo, x_hi, own, MacMode.W4)
        np.testing.assert_array_equal(sums, wanted)
        by_hand = (x_lo * (((own & 15) ^ 8) - 8) + x_hi * (own >> 4)).sum(-1)
        np.testing.assert_array_equal(sums, by_hand)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("four_bit", [True, False])
@pytest.mark.parametrize("mode", MacMode)
def test_accumulates_chunks(simulate, mode, four_bit, provider):
    if mode is MacMode.W4 and not four_bit:
        pytest.skip("8x4 mode was left out of this hardware")
    unit = Signed(provider, four_bit=four_bit)
    rng = np.random.default_rng(4)
    x_lo, x_hi = rng.integers(-128, 128, (2, 40, LANES))
    if mode is MacMode.W8:
        x_hi = x_lo
    w = rng.integers(-128, 128, (40, LANES))
    ends = [9, 10, 25, 39]  # last chunks of four dot products
    seen = []

    async def bench(ctx):
        ctx.set(unit.w4, mode is MacMode.W4)
        for i in range(45):
            for k in range(LANES):
                at = min(i, 39)
                ctx.set(unit.x_lo[k], int(x_lo[at, k]))
                ctx.set(unit.x_hi[k], int(x_hi[at, k]))
                ctx.set(unit.w[k], int(w[at, k]) & 0xFF)
            ctx.set(unit.first, i - 1 in (0, 10, 11, 26))
            ctx.set(unit.load, i - 2 in ends)
            seen.append([ctx.get(drain) for drain in unit.drain])
            await ctx.tick()

    simulate(unit, bench)
    for c, own in enumerate(weights(w, provider.CHANNELS)):
        single = PsMac(lanes=LANES).compute(x_lo, x_hi, own, mode)
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
@pytest.mark.parametrize("four_bit", [True, False])
def test_guard_bits_hold_the_largest_sums(simulate, lanes, four_bit):
    """Packed products of the extremes, at every number of lanes, beside each other."""
    extremes = np.array([(x, w) for x in (-128, 127) for w in (-128, 127, 0x0F, -16)])
    x, w = (np.repeat(column[:, None], lanes, 1) for column in extremes.T)
    unit = Signed(PackedPE, four_bit=four_bit, lanes=lanes)
    got = products(simulate, unit, x, x, w, MacMode.W8)
    for sums, own in zip(got, weights(w, PackedPE.CHANNELS), strict=True):
        np.testing.assert_array_equal(sums, (x * own).sum(-1))


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_accumulator_bound(lanes):
    longest = 1023 * lanes * 255 * 255
    most = 1 << accumulator_bits(lanes)
    assert longest < most < 2 * longest
    assert 1023 * lanes * 2 * 255 * 15 < most


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
