"""The quantizer's choices: validated, frozen, recorded in every bundle and report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from golden.ops.softmax import RULE_CENTRED, RULE_FQ, RULE_HALF, AttnFormat, CodeRule, ExpForm
from golden.quant.bit_widths import BitMap
from golden.quant.learn.options import LearnOptions
from golden.quant.search.observers import METHODS
from golden.support.errors import PotvitError

ATTENTION = ("log2", "half", "none")
RULES = ("auto", "fq", "centred", "half")
ROUNDINGS = ("nearest", "compensated")


@dataclass(frozen=True, kw_only=True)
class QuantOptions:
    """Everything that decides a quantized graph beside the model and the pictures.

    Attributes:
        method: observer, one of ``minmax``, ``ema``, ``percentile``, ``omse``.
        bits: bits of every layer's weights and inputs.
        attn: attention codes: ``log2`` (4 bits), ``half`` (5 bits) or ``none`` (uint8 uniform,
            executor only).
        exp: exponential, base-2 table or I-BERT's polynomial.
        rule: code thresholds: ``fq``, ``centred``, ``half``, ``auto`` (the format's own) or an
            exact ``CodeRule``.
        ptf: power-of-two factors on the residual stream (without them: executor only).
        smoothing: strength at LN1 -> QKV and LN2 -> fc1, ``"auto"`` or None for off.
        rounding: 8-bit weights to ``nearest`` or ``compensated``.
        rounding4: the same for 4-bit weights.
        bias_correction: biases make mean outputs equal the float network's.
        refit: weights are fitted to the float outputs given the quantized inputs.
        prior: tokens' worth of trust in the float weights when refitting.
        class_weight: tokens that the class token counts for in every fit and search: only its
            last value is read.
        read_weight: the same in the last block from its logits on, where no other token is read
            (not for fitting 4-bit weights).
        stream_target: layers that add to the residual stream are fitted to bring the stream
            itself to the float one, not only to their own float output.
        centre_values: V is shifted so that attention's code errors act on the least of it; the
            shift returns through the projection's bias.
        equalize: powers of two between the channels of Q and K, and of V and the projection,
            even out what one exponent per head or edge has to hold; K loses its mean, which
            adds the same to all logits of a row.
        learn: learned rounding on top of all that (None: not).
    """

    method: str = "minmax"
    bits: BitMap = field(default_factory=BitMap)
    attn: str = "log2"
    exp: ExpForm = ExpForm.BASE2
    rule: str | CodeRule = "auto"
    ptf: bool = True
    smoothing: float | str | None = "auto"
    rounding: str = "compensated"
    rounding4: str = "compensated"
    bias_correction: bool = True
    refit: bool = True
    prior: float = 300000.0
    class_weight: float = 10.0
    read_weight: float = 1000.0
    stream_target: bool = True
    centre_values: bool = True
    equalize: bool = True
    learn: LearnOptions | None = None

    def __post_init__(self) -> None:
        """Refuse unknown names and impossible numbers with a ``PotvitError``."""
        for name, known in (
            ("method", METHODS),
            ("attn", ATTENTION),
            ("rounding", ROUNDINGS),
            ("rounding4", ROUNDINGS),
        ):
            if getattr(self, name) not in known:
                raise PotvitError(
                    f"unknown {name} {getattr(self, name)!r}: choose one of {', '.join(known)}"
                )
        if isinstance(self.rule, str) and self.rule not in RULES:
            raise PotvitError(f"unknown rule {self.rule!r}: choose one of {', '.join(RULES)}")
        if isinstance(self.rule, CodeRule):
            self._check_rule(self.rule)
        if isinstance(self.smoothing, str) and self.smoothing != "auto":
            raise PotvitError(f"smoothing {self.smoothing!r} is neither auto nor a number")
        if isinstance(self.smoothing, int | float) and not 0 <= self.smoothing <= 1:
            raise PotvitError(f"smoothing strength {self.smoothing} is outside 0..1")
        if self.attn == "half" and self.rule in ("fq", "centred"):
            raise PotvitError(f"rule {self.rule} is for 4-bit codes: half-step codes need half")
        if self.attn == "log2" and self.rule == "half":
            raise PotvitError("rule half is for half-step codes: choose fq or centred")
        if self.attn == "none" and self.learn is not None:
            raise PotvitError("learned rounding needs log2 or half-step codes, not uniform ones")
        for name in ("prior", "class_weight", "read_weight"):
            if not getattr(self, name) > 0:
                raise PotvitError(f"{name} must be positive, not {getattr(self, name)}")

    def _check_rule(self, rule: CodeRule) -> None:
        if self.attn == "half" and rule.fq:
            raise PotvitError("half-step codes have no fq rule")
        fields = (rule.odd, rule.even) if self.attn == "half" else (rule.odd,)
        if not rule.fq and any(not 256 <= value <= 512 for value in fields):
            raise PotvitError(f"rule thresholds {fields} are outside 256..512")

    @property
    def format(self) -> AttnFormat | None:
        """The attention format as the graph names it."""
        return None if self.attn == "none" else AttnFormat(self.attn)

    @property
    def code_rule(self) -> CodeRule:
        """The thresholds as the graph names them."""
        if isinstance(self.rule, CodeRule):
            return self.rule
        named = {"fq": RULE_FQ, "centred": RULE_CENTRED, "half": RULE_HALF}
        return named.get(self.rule, RULE_HALF if self.attn == "half" else RULE_CENTRED)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON manifest or report."""
        return asdict(self)
