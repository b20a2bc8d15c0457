"""The processing element in every mode, exhaustively over each multiplier's operands."""

import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.ops.psmac import MacMode, PsMac
from hw.pe import accumulator_bits, weight_nibbles

LANES = 8


class ByteWeights(wiring.Component):
    """A PE with the nibble split that `PEArray` shares among the rows."""

    def __init__(self, *, four_bit: bool = True) -> None:
        self.four_bit = four_bit
        psmac = PsMac(lanes=LANES, acc_bits=accumulator_bits(LANES))
        self.pe = psmac.create(four_bit=four_bit)
        super().__init__(
            {
                "x_lo": In(signed(8)).array(LANES),
                "x_hi": In(signed(8)).array(LANES),
                "w": In(8).array(LANES),
                "w4": In(1),
                "first": In(1),
                "load": In(1),
                "below": In(signed(psmac.acc_bits)),
                "acc": Out(signed(psmac.acc_bits)),
                "drain": Out(signed(psmac.acc_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pe = pe = self.pe
        m.d.comb += [pe.first.eq(self.first), pe.load.eq(self.load), pe.below.eq(self.below)]
        m.d.comb += [self.acc.eq(pe.acc), self.drain.eq(pe.drain)]
        for k in range(LANES):
            m.d.comb += pe.x_lo[k].eq(self.x_lo[k])
            if self.four_bit:
                lo, hi = weight_nibbles(self.w[k], self.w4)
                m.d.comb += [pe.x_hi[k].eq(self.x_hi[k]), pe.w_lo[k].eq(lo), pe.w_hi[k].eq(hi)]
            else:
                m.d.comb += pe.w[k].eq(self.w[k].as_signed())
        if self.four_bit:
            m.d.comb += pe.w4.eq(self.w4)
        return m


def products(simulate, unit, x_lo, x_hi, w, mode):
    """``acc`` of single-chunk dot products, one after the other through the pipeline."""
    got = []

    async def bench(ctx):
        ctx.set(unit.first, 1)
        ctx.set(unit.w4, mode is MacMode.W4)
        for i in range(len(w) + 2):
            if i < len(w):
                for k in range(LANES):
                    ctx.set(unit.x_lo[k], int(x_lo[i, k]))
                    ctx.set(unit.x_hi[k], int(x_hi[i, k]))
                    ctx.set(unit.w[k], int(w[i, k]) & 0xFF)
            if i >= 2:
                got.append(ctx.get(unit.acc))
            await ctx.tick()

    simulate(unit, bench)
    return np.array(got)


def every_pair(seed):
    """All 65,536 (x, w) pairs of bytes, LANES a row, in an order that mixes the lanes."""
    pairs = np.random.default_rng(seed).permutation(1 << 16).reshape(-1, LANES)
    return (pairs & 255) - 128, (pairs >> 8) - 128


@pytest.mark.parametrize("four_bit", [True, False])
def test_8x8_exhaustive(simulate, four_bit):
    x, w = every_pair(1)
    got = products(simulate, ByteWeights(four_bit=four_bit), x, x, w, MacMode.W8)
    np.testing.assert_array_equal(got, (x * w).sum(-1))
    np.testing.assert_array_equal(got, PsMac(lanes=LANES).compute(x, x, w, MacMode.W8))


def test_8x4_exhaustive(simulate):
    # Every byte pair as (x_lo, w); x_hi another permutation: both multipliers see every operand.
    x_lo, w = every_pair(2)
    x_hi = np.random.default_rng(3).permutation(x_lo.ravel()).reshape(x_lo.shape)
    assert len(np.unique(x_hi * 16 + (w >> 4))) == 256 * 16
    got = products(simulate, ByteWeights(), x_lo, x_hi, w, MacMode.W4)
    np.testing.assert_array_equal(got, PsMac(lanes=LANES).compute(x_lo, x_hi, w, MacMode.W4))
    by_hand = (x_lo * (((w & 15) ^ 8) - 8) + x_hi * (w >> 4)).sum(-1)
    np.testing.assert_array_equal(got, by_hand)


@pytest.mark.parametrize("mode", MacMode)
def test_accumulates_chunks_and_shifts_results(simulate, mode):
    unit = ByteWeights()
    rng = np.random.default_rng(4)
    x_lo, x_hi = rng.integers(-128, 128, (2, 40, LANES))
    if mode is MacMode.W8:
        x_hi = x_lo
    w = rng.integers(-128, 128, (40, LANES))
    ends = [9, 10, 25, 39]  # last chunks of four dot products
    sums = np.add.reduceat(PsMac(lanes=LANES).compute(x_lo, x_hi, w, mode), [0, 10, 11, 26])
    seen = []

    async def bench(ctx):
        ctx.set(unit.w4, mode is MacMode.W4)
        ctx.set(unit.below, 77)
        for i in range(45):
            for k in range(LANES):
                at = min(i, 39)
                ctx.set(unit.x_lo[k], int(x_lo[at, k]))
                ctx.set(unit.x_hi[k], int(x_hi[at, k]))
                ctx.set(unit.w[k], int(w[at, k]) & 0xFF)
            ctx.set(unit.first, i - 1 in (0, 10, 11, 26))
            ctx.set(unit.load, i - 2 in ends)
            seen.append(ctx.get(unit.drain))
            await ctx.tick()

    simulate(unit, bench)
    got = [seen[e + 3] for e in ends]
    assert got == list(sums)
    assert seen[20] == 77, "the slot takes the one below when nothing is loaded"


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_accumulator_holds_the_longest_dot_product(lanes):
    longest = 1023 * lanes
    most = 1 << (accumulator_bits(lanes) - 1)
    assert longest * 128 * 128 < most <= 4 * longest * 128 * 128


def test_widest_accumulation_does_not_wrap(simulate):
    unit = ByteWeights()

    async def bench(ctx):
        for k in range(LANES):
            ctx.set(unit.x_lo[k], -128)
            ctx.set(unit.x_hi[k], -128)
            ctx.set(unit.w[k], 0x80)
        await ctx.tick()
        ctx.set(unit.first, 1)
        await ctx.tick()
        ctx.set(unit.first, 0)
        for _ in range(1022):
            await ctx.tick()
        assert ctx.get(unit.acc) == 1023 * LANES * 128 * 128

    simulate(unit, bench)
