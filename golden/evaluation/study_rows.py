"""The options that the accuracy study compares, one change at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from golden.ops.softmax import ExpForm
from golden.quant import QuantOptions, bit_map
from golden.quant.learn.options import LearnOptions
from golden.support.errors import PotvitError


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: its section and name, and what differs from the defaults."""

    section: str
    name: str
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The name as a file name."""
        kept = "".join(c if c.isalnum() else "-" for c in f"{self.section} {self.name}".lower())
        return "-".join(part for part in kept.split("-") if part)

    @property
    def class_token(self) -> bool:
        """Whether the row is about the weight of the class token."""
        return not self.changes.keys().isdisjoint(("class_weight", "read_weight"))

    def options(self) -> QuantOptions:
        """Return the quantizer's options."""
        changes = dict(self.changes)
        if "bits" in changes:
            changes["bits"] = bit_map(changes["bits"])
        return QuantOptions(**changes)


_PLAIN = {
    "rounding": "nearest",
    "refit": False,
    "bias_correction": False,
    "centre_values": False,
    "equalize": False,
}
_PLAIN4 = {**_PLAIN, "rounding4": "nearest", "bits": "w4a8"}


def _section(title: str, *entries: tuple[str, dict[str, Any]]) -> tuple[Row, ...]:
    return tuple(Row(section=title, name=name, changes=changes) for name, changes in entries)


ROWS: tuple[Row, ...] = (
    *_section(
        "Defaults",
        ("w8a8, 4-bit codes", {}),
        ("w8a8, half-step codes", {"attn": "half"}),
        ("w4a8, 4-bit codes", {"bits": "w4a8"}),
        ("w4a8, half-step codes", {"bits": "w4a8", "attn": "half"}),
    ),
    *_section(
        "Learned rounding",
        ("w8a8, 4-bit codes, learned", {"learn": LearnOptions()}),
        ("w8a8, half-step codes, learned", {"attn": "half", "learn": LearnOptions()}),
        ("w4a8, 4-bit codes, learned", {"bits": "w4a8", "learn": LearnOptions()}),
        (
            "w4a8, half-step codes, learned",
            {"bits": "w4a8", "attn": "half", "learn": LearnOptions()},
        ),
    ),
    *_section(
        "Attention (w8a8)",
        ("uint8 uniform, no LIS", {"attn": "none"}),
        ("4-bit codes, FQ-ViT's rule", {"rule": "fq"}),
        ("4-bit codes, i-exp", {"exp": ExpForm.IEXP}),
        ("half-step codes, i-exp", {"attn": "half", "exp": ExpForm.IEXP}),
        ("4-bit codes, V not centred", {"centre_values": False}),
        ("4-bit codes, Q, K and V not equalized", {"equalize": False}),
        ("half-step codes, Q, K and V not equalized", {"attn": "half", "equalize": False}),
    ),
    *_section(
        "Observers (w8a8, 4-bit codes)",
        ("ema", {"method": "ema"}),
        ("percentile", {"method": "percentile"}),
        ("omse", {"method": "omse"}),
    ),
    *_section(
        "Residual stream and LayerNorm (w8a8, 4-bit codes)",
        ("one exponent, no PTF", {"ptf": False}),
        ("no smoothing", {"smoothing": None}),
        ("smoothing 0.5", {"smoothing": 0.5}),
    ),
    *_section(
        "8-bit weights (4-bit codes)",
        ("nearest", {"rounding": "nearest"}),
        ("no refit", {"refit": False}),
        ("fitted to each layer, not to the stream", {"stream_target": False}),
        ("class token counts once", {"class_weight": 1.0}),
        ("last block like the others", {"read_weight": 10.0}),
        ("nothing but PoT search", _PLAIN),
        ("nothing but PoT search, FQ-ViT's rule", {**_PLAIN, "rule": "fq"}),
        ("nothing but PoT search, half-step codes", {**_PLAIN, "attn": "half"}),
    ),
    *_section(
        "4-bit weights (half-step codes)",
        ("nearest, nothing else", {**_PLAIN4, "attn": "half"}),
        (
            "nearest, bias correction",
            {**_PLAIN4, "bias_correction": True, "attn": "half"},
        ),
        ("nearest, refit", {"bits": "w4a8", "attn": "half", "rounding4": "nearest"}),
        ("compensated, no refit", {"bits": "w4a8", "attn": "half", "refit": False}),
        (
            "compensated, class token counts once",
            {"bits": "w4a8", "attn": "half", "class_weight": 1.0},
        ),
    ),
)


#: Sections whose rows are also measured on subsets of the calibration pictures.
SUBSET_SECTIONS = ("Defaults", "Learned rounding")


def select(names: list[str]) -> list[Row]:
    """Return the rows whose slug contains one of ``names``, all without names.

    Raises ``PotvitError`` where nothing matches.
    """
    rows = [row for row in ROWS if not names or any(name in row.slug for name in names)]
    if not rows:
        raise PotvitError(f"no study row matches {', '.join(names)}: see `golden study --list`")
    return rows
