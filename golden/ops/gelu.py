"""Table activation (GELU and others): 256 int8 entries made by exact arithmetic."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from golden.ops.hardware import hardware


class Activation(enum.StrEnum):
    """Which function the table holds; the hardware does not know."""

    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    QUICK_GELU = "quick_gelu"
    RELU = "relu"
    SILU = "silu"

    def exact(self, x: mpmath.mpf) -> mpmath.mpf:
        """Return the function of one number in mpmath's current precision."""
        match self:
            case Activation.GELU:
                return x * mpmath.ncdf(x)
            case Activation.GELU_TANH:
                cubic = x + mpmath.mpf("0.044715") * x**3
                return x * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * cubic)) / 2
            case Activation.QUICK_GELU:
                return x / (1 + mpmath.exp(-mpmath.mpf("1.702") * x))
            case Activation.RELU:
                return max(x, mpmath.mpf(0))
            case Activation.SILU:
                return x / (1 + mpmath.exp(-x))


@dataclass(frozen=True, kw_only=True)
class Gelu:
    """Parameters of a table from exponent ``in_exp`` to ``out_exp`` with offset ``zero``.

    ``table[q + 128] = sat8(round_half_up(f(q * 2**in_exp) / 2**out_exp) - zero)``, ``f`` GELU or
    another ``function``; the offset is folded into the next layer's bias (``+ zero * sum_k W``).
    ``clip`` caps the real output, PackQViT's clipping of the long tail. With ``bits`` 4 the entries
    saturate to -8..7 instead: 16 levels from ``zero - 8`` on.
    """

    in_exp: int
    out_exp: int
    zero: int = 0
    clip: float | None = None
    function: Activation = Activation.GELU
    bits: int = 8

    def table(self) -> npt.NDArray[np.int8]:
        """Return the 256 entries, entry ``i`` for input ``i - 128``."""
        entries, limit = [], 1 << (self.bits - 1)
        with mpmath.workprec(120):
            for q in range(-128, 128):
                x = mpmath.ldexp(q, self.in_exp)
                y = self.function.exact(x)
                if self.clip is not None:
                    y = min(y, mpmath.mpf(self.clip))
                level = int(mpmath.floor(mpmath.ldexp(y, -self.out_exp) + mpmath.mpf("0.5")))
                entries.append(min(limit - 1, max(-limit, level - self.zero)))
        return np.array(entries, np.int8)

    @staticmethod
    def compute(q: npt.ArrayLike, table: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Look int8 ``q`` up in a table of 256 entries."""
        return table[np.asarray(q, np.int64) + 128]

    @staticmethod
    def create(**options: Any) -> Any:
        """Return the hardware that computes the same (its table arrives with the program)."""
        return hardware(Gelu)(**options)
