"""The rounding shift and the saturation of golden.ops.rounding as hardware expressions."""

from amaranth.hdl import Cat, Mux, Value


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
