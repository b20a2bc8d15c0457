"""The rounding shift and the saturation of golden.ops.rounding as hardware expressions."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value


def rshr(x: Value, s: Value) -> Value:
    """Signed ``x`` shifted right by unsigned ``s`` bits, halves up: one adder, any ``s``."""
    return (((x << 1) >> s) + 1) >> 1


def saturate(x: Value, bits: int) -> Value:
    """Signed ``x`` clamped to ``bits`` bits; looks at the bits above only, no comparators."""
    if len(x) <= bits:
        return x
    sign, upper = x[-1], x[bits - 1 :]
    inside = ~upper.any() | upper.all()
    return Mux(inside, x[:bits], Cat((~sign).replicate(bits - 1), sign)).as_signed()


def round_shift(m: Module, x: Value, s: Value, bits: int, name: str) -> Value:
    """``saturate(x >> s, bits)`` where bit 0 of signed ``x`` is a fraction bit, halves up.

    With ``x = value << 1`` it is ``saturate(rshr(value, s), bits)``, and smaller: the long shifts
    come first, and of every stage only what the later ones can bring into the result stays; a
    bit that is dropped and differs from the sign means saturation. Only the ``bits`` result bits
    are rounded.
    """
    sign = Signal(name=f"sign_{name}")
    m.d.comb += sign.eq(x[-1])
    outside = []

    def unlike_sign(part: Value) -> Value:
        return Mux(sign, ~part.all(), part.any())

    for i in reversed(range(len(s))):
        places = 1 << i
        keep = min(len(x), bits + places)
        if keep < len(x):
            outside.append(~s[i] & unlike_sign(x[keep:]))
        moved = x[min(places, len(x)) : places + keep]
        stage = Signal(keep, name=f"by{places}_{name}")
        fill = sign.replicate(keep - len(moved))
        m.d.comb += stage.eq(Mux(s[i], Cat(moved, fill), x[:keep]))
        x = stage
    outside.append(unlike_sign(x[bits:]))
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
