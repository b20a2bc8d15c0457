"""Table GELU: 256 int8 entries made by exact arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from golden.ops.hardware import hardware


@dataclass(frozen=True, kw_only=True)
class Gelu:
    """Parameters of a table GELU from exponent ``in_exp`` to ``out_exp`` with offset ``zero``.

    ``table[q + 128] = sat8(round_half_up(gelu(q * 2**in_exp) / 2**out_exp) - zero)``; the offset
    is folded into the next layer's bias (``+ zero * sum_k W``). ``clip`` caps the real output,
    PackQViT's clipping of the long tail.
    """

    in_exp: int
    out_exp: int
    zero: int = 0
    clip: float | None = None

    def table(self) -> npt.NDArray[np.int8]:
        """Return the 256 entries, entry ``i`` for input ``i - 128``."""
        entries = []
        with mpmath.workprec(120):
            for q in range(-128, 128):
                x = mpmath.ldexp(q, self.in_exp)
                y = x * mpmath.ncdf(x)
                if self.clip is not None:
                    y = min(y, mpmath.mpf(self.clip))
                level = int(mpmath.floor(mpmath.ldexp(y, -self.out_exp) + mpmath.mpf("0.5")))
                entries.append(min(127, max(-128, level - self.zero)))
        return np.array(entries, np.int8)

    @staticmethod
    def compute(q: npt.ArrayLike, table: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Look int8 ``q`` up in a table of 256 entries."""
        return table[np.asarray(q, np.int64) + 128]

    @staticmethod
    def create(**options: Any) -> Any:
        """Return the hardware that computes the same (its table arrives with the program)."""
        return hardware(Gelu)(**options)
