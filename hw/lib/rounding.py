"""The rounding shift and the saturation of golden.ops.rounding as hardware expressions."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from hw.precision import NIBBLE_BITS


def _narrowing_shift(
    m: Module, x: Value, s: Value, bits: int, name: str
) -> tuple[Value, list[tuple[Value, Value]]]:
    """The low ``bits`` of signed ``x >> s``, and what came to lie above them.

    Long shifts come first, and of every stage only what the later ones can bring into the result
    stays. What is dropped comes as parts, each with the condition that it lies
    there rather than being shifted down.
    """
    sign, dropped = x[-1], []
    for i in reversed(range(len(s))):
        places = 1 << i
        keep = min(len(x), bits - 1 + places)
        if keep < len(x):
            dropped.append((~s[i], x[keep:]))
        moved = x[min(places, len(x)) : places + keep]
        stage = Signal(keep, name=f"by{places}_{name}")
        fill = sign.replicate(keep - len(moved))
        m.d.comb += stage.eq(Mux(s[i], Cat(moved, fill), x[:keep]))
        x = stage
    return x, dropped


def narrow_rshr(m: Module, x: Value, s: Value, bits: int, name: str) -> Value:
    """``rshr(x, s)`` of which only ``bits`` bits matter."""
    shifted, _ = _narrowing_shift(m, x << 1, s, bits + 1, name)
    return (shifted[1:] + shifted[0])[:bits].as_signed()


def round_shift(m: Module, x: Value, s: Value, bits: int, name: str) -> Value:
    """``saturate(x >> s, bits)`` where bit 0 of signed ``x`` is a fraction bit, halves up.

    With ``x = value << 1`` it is ``saturate(rshr(value, s), bits)``, and smaller: a bit that the
    shift drops and that differs from the sign means saturation, and only the ``bits`` result
    bits are rounded.
    """
    sign = Signal(name=f"sign_{name}")
    m.d.comb += sign.eq(x[-1])

    def unlike_sign(part: Value) -> Value:
        return Mux(sign, ~part.all(), part.any())

    x, dropped = _narrowing_shift(m, x, s, bits + 1, name)
    outside = [counts & unlike_sign(part) for counts, part in dropped] + [unlike_sign(x[bits:])]
    rounded = Signal(bits, name=f"rounded_{name}")
    above, below = Signal(name=f"above_{name}"), Signal(name=f"below_{name}")
    m.d.comb += [
        rounded.eq(x[1 : bits + 1] + x[0]),
        # Past the range before rounding, or rounded up from the largest value.
        above.eq(~sign & (Cat(outside).any() | rounded[-1])),
        below.eq(sign & Cat(outside).any()),
    ]
    rest = (rounded[:-1] | above.replicate(bits - 1)) & (~below).replicate(bits - 1)
    return Cat(rest, sign & (rounded[-1] | below)).as_signed()


def saturate_nibble(x: Value, narrow: Value) -> Value:
    """Signed byte ``x``; where ``narrow``, the nearest of -8..7."""
    sign, upper = x[-1], x[NIBBLE_BITS - 1 : -1]
    above, below = narrow & ~sign & upper.any(), narrow & sign & ~upper.all()
    low = x[: NIBBLE_BITS - 1] | above.replicate(NIBBLE_BITS - 1)
    high = Mux(narrow, sign.replicate(len(upper)), upper)
    return Cat(low & (~below).replicate(NIBBLE_BITS - 1), high, sign).as_signed()
