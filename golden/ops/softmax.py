"""Log-Int-Softmax: integer exponentials, and log2 codes chosen without a divider."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.hardware import hardware

E_BITS = 16
#: The logit of a key that the query must not see; unmasked logits of such a layer are above it.
MASKED = -128
LUT_BITS = 5
EXP_LUT = tuple(min(65535, math.floor(65536 * 2 ** (-i / 32) + 0.5)) for i in range(1 << LUT_BITS))


class ExpForm(enum.StrEnum):
    """How the exponential is evaluated."""

    BASE2 = "base2"
    IEXP = "iexp"


class AttnFormat(enum.StrEnum):
    """Attention codes: 4-bit powers of two, or 5-bit powers of the square root of two."""

    LOG2 = "log2"
    HALF = "half"

    @property
    def zero_code(self) -> int:
        """The code that means exactly zero."""
        return 15 if self is AttnFormat.LOG2 else 31

    @property
    def fraction_bits(self) -> int:
        """Fraction bits of a sum of values weighted by codes."""
        return 14 if self is AttnFormat.LOG2 else 15


@dataclass(frozen=True, kw_only=True)
class CodeRule:
    """When a probability ``E/S`` earns at least code ``k`` (program fields of the accelerator).

    ``fq``: FQ-ViT's rule, ``2S >= 3E`` (k=1), ``2S > 5E`` (k=2), ``2S >= (3*2**(k-1)-1)*E``.
    Otherwise ``256*S >= T * (E << n)`` with ``n = k-1`` (4-bit codes, ``T = odd``) or
    ``n = (k-1)>>1`` (half-step codes, ``T = odd`` for odd ``k``, ``even`` for even ``k``).
    """

    fq: bool = False
    odd: int = 352
    even: int = 0


RULE_FQ = CodeRule(fq=True)
RULE_CENTRED = CodeRule(odd=352)
RULE_HALF = CodeRule(odd=304, even=431)


@dataclass(frozen=True, kw_only=True)
class LogIntSoftmax:
    """Parameters of one softmax: exponential form, code format and code rule.

    Input: logits int8 [..., keys] at exponent ``e`` in [-5, 0] (base-2 form: log2(e) is folded
    into the query weights). ``t = max - x``; base-2 ``E = LUT[frac] >> ip``; i-exp is I-BERT's
    polynomial (as in FQ-ViT, section 3.2) normalised to 16 bits. ``S = sum E``. Output: codes
    uint8, 0..14 mean ``2**-code`` and 15 zero; half-step 0..30 mean ``2**(-code/2)``, 31 zero.
    """

    form: ExpForm = ExpForm.BASE2
    fmt: AttnFormat = AttnFormat.LOG2
    rule: CodeRule = RULE_CENTRED

    def exponential(self, t: npt.ArrayLike, exponent: int) -> npt.NDArray[np.int64]:
        """Return the 16-bit ``E`` of distances ``t`` (0..255) at logit exponent -5..0."""
        if not -LUT_BITS <= exponent <= 0:
            raise ValueError(f"logit exponent {exponent} outside -5..0")
        t = np.asarray(t, np.int64)
        f = -exponent
        if self.form is ExpForm.BASE2:
            frac = (t & ((1 << f) - 1)) << (LUT_BITS - f)
            return np.asarray(np.array(EXP_LUT, np.int64)[frac] >> np.minimum(t >> f, E_BITS))
        step = -math.floor(-0.6931 * 2**f)
        b, c = math.floor(2.7073 * 2**f), math.floor(2.7921 * 4**f)
        q = t // step
        r = q * step - t
        z = r * (r + b) + c
        return np.asarray((z << (E_BITS - c.bit_length())) >> np.minimum(q, E_BITS))

    def reaches(self, e: npt.ArrayLike, s: npt.ArrayLike, k: int) -> npt.NDArray[np.bool_]:
        """Tell where code >= ``k`` (``k`` >= 1) for numerators ``e`` and row sums ``s``."""
        e, s = np.asarray(e, np.int64), np.asarray(s, np.int64)
        if self.fmt is AttnFormat.HALF:
            return np.asarray(
                256 * s >= (self.rule.odd if k & 1 else self.rule.even) * (e << ((k - 1) >> 1))
            )
        if not self.rule.fq:
            return np.asarray(256 * s >= self.rule.odd * (e << (k - 1)))
        if k == 1:
            return np.asarray(2 * s >= 3 * e)
        if k == 2:
            return np.asarray(2 * s > 5 * e)
        return np.asarray(2 * s >= (3 * 2 ** (k - 1) - 1) * e)

    def codes(self, e: npt.ArrayLike, s: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Return the codes of numerators ``e`` under row sums ``s`` (broadcast)."""
        e, s = np.broadcast_arrays(np.asarray(e, np.int64), np.asarray(s, np.int64))
        out = np.zeros(e.shape, np.uint8)
        for k in range(1, self.fmt.zero_code + 1):
            out += self.reaches(e, s, k)
        return out

    def numerators(
        self, logits: npt.ArrayLike, exponent: int, *, masked: bool = False
    ) -> npt.NDArray[np.int64]:
        """Return ``E`` of int8 ``logits`` [..., keys]; with ``masked``, 0 where one is -128.

        Every row has an unmasked key, so the maximum is that of the unmasked ones.
        """
        x = np.asarray(logits, np.int64)
        e = self.exponential(x.max(-1, keepdims=True) - x, exponent)
        return np.where(x == MASKED, 0, e) if masked else e

    def compute(
        self, logits: npt.ArrayLike, exponent: int, *, masked: bool = False
    ) -> npt.NDArray[np.uint8]:
        """Return the codes of int8 ``logits`` [..., keys]; each row is one softmax."""
        e = self.numerators(logits, exponent, masked=masked)
        return self.codes(e, e.sum(-1, keepdims=True))

    def create(self, **options: Any) -> Any:
        """Return the hardware that computes the same."""
        return hardware(LogIntSoftmax)(self, **options)
