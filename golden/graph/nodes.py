"""The operators of the integer graph: what each computes, and the constants that it holds.

Nodes are frozen dataclasses; NumPy fields are their constants (in a bundle they go to the
safetensors file, everything else to the manifest).

``T`` tokens, ``C`` channels, ``H`` heads, ``d`` = C/H, ``K`` inputs of a linear layer. Where
attention stays inside ``W`` windows of ``n`` tokens, the tensors between the LayerNorm that puts
the tokens in window order and the residual addition that takes them out have ``W*n`` tokens,
padded ones included, and attention's matrices are [W, H, n, n] instead of [H, T, T].
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.ops.softmax import AttnFormat, CodeRule, ExpForm
from golden.ops.windows import PatchMerge, Windows
from golden.support.brief import brief

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Node:
    """Base of all operators: its name, the edges it reads and the edge it makes."""

    name: str
    inputs: tuple[str, ...]
    output: str

    def __init_subclass__(cls) -> None:
        # Before `dataclass` gives each operator a text that prints its weights.
        cls.__repr__ = Node.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return brief(self)


@dataclass(frozen=True, kw_only=True)
class PatchEmbed(Node):
    """``acc[t] = sum (pixel - 128) * W + B`` for patch token ``t``; 0 for the prefix tokens.

    The first ``prefix`` rows see no pixels: the class token and others.
    Input: image uint8 [height, width, channels]. Output: wire int32 [prefix + gh*gw, C].
    ``weight`` int8 [C, patch*patch*channels], K ordered (ky, kx, channel); the (x/255 - mean)/std
    scaling is folded into it, the constant part into ``bias`` (int32 [C]) or, with position
    constants behind it, into those.
    """

    patch: int
    weight: Array
    weight_exp: Array
    bits: int = 8
    bias: Array | None = None
    prefix: int = 1


@dataclass(frozen=True, kw_only=True)
class Linear(Node):
    """``acc = X W^T + B``; int8 ``sat8(rshr(acc, shift))`` or, without ``shift``, the wire itself.

    ``weight`` int8 [C, K] (values within ``bits``), ``bias`` int32 [C] at ``e_x + weight_exp``,
    ``weight_exp`` int32 [C], ``shift`` int32 [C] = ``e_y - e_x - weight_exp``.
    """

    weight: Array
    bias: Array
    weight_exp: Array
    shift: Array | None = None
    bits: int = 8


@dataclass(frozen=True, kw_only=True)
class Scores(Node):
    """``sat8(rshr(Q_h K_h^T, shift[h]))``: inputs q, k int8 [T, C]; output int8 [H, T, T].

    In ``windows``: ``rshr(Q K^T + (bias[h] << bias_shift[h]), shift[h])`` with the relative
    position ``bias`` int8 [H, n, n] (query, key), ``bias_shift`` int32 [H] of 0 or more; output
    [W, H, n, n]. Where the windows mask, logits saturate at -127 and -128 marks a masked key.
    """

    heads: int
    shift: Array
    windows: Windows | None = None
    bias: Array | None = None
    bias_shift: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Softmax(Node):
    """Log-Int-Softmax codes uint8 [H, T, T] of int8 logits at exponents ``logit_exp`` [H].

    ``masked``: a logit of -128 is a masked key, whose exponential is 0 exactly. ``fmt=None`` keeps
    uint8 uniform attention (``round(255 * E/S)``), which only the executor runs.
    """

    logit_exp: Array
    form: ExpForm = ExpForm.BASE2
    fmt: AttnFormat | None = AttnFormat.LOG2
    rule: CodeRule = field(default_factory=CodeRule)
    masked: bool = False


@dataclass(frozen=True, kw_only=True)
class AttnValue(Node):
    """Codes x V on shifters: inputs codes uint8 [H, T, T], v int8 [T, C]; output int8 [T, C].

    ``shift`` int32 [H] = ``e_y - e_v[h]``, used on top of the format's own 14 or 15. The result
    saturates to ``out_bits``, 8 or 4.
    """

    heads: int
    shift: Array
    fmt: AttnFormat | None = AttnFormat.LOG2
    out_bits: int = 8


@dataclass(frozen=True, kw_only=True)
class Gelu(Node):
    """``table[x + 128]``: wire int8 in, stored int8 out, offset ``zero`` already in the table.

    The entries have ``out_bits``, 8 or 4.
    """

    table: Array
    zero: int
    out_bits: int = 8


@dataclass(frozen=True, kw_only=True)
class Residual(Node):
    """``sat8(rshr((acc << la) + (old << lo), shift))``, each [C] int32.

    ``inputs`` is (accumulator wire, old residual); with one input the int16 ``constant`` [T, C]
    (class token, position embedding, folded patch bias) stands in for the old residual; without
    either there is none (a stream that begins). With ``windows`` the accumulator comes in their
    order [W*n, C] and is met by the old residual in it; the result is in rows of the grid again.
    """

    la: Array
    lo: Array
    shift: Array
    constant: Array | None = None
    windows: Windows | None = None


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Node):
    """Integer LayerNorm of the residual: see ``golden.ops.layernorm.LayerNorm``.

    ``alpha`` int32 [C] in 0..3, ``gamma`` int16-ranged [C], ``beta`` int32 [C], ``shift`` = t.
    Exponents per channel of the output (a LayerNorm that writes the residual stream) are folded
    into gamma and beta. With ``windows`` the output is in their order: [T, C] to [W*n, C], padded
    tokens zero. The result saturates to ``out_bits``, 8 or 4.
    """

    alpha: Array
    gamma: Array
    beta: Array
    shift: int
    windows: Windows | None = None
    out_bits: int = 8


@dataclass(frozen=True, kw_only=True)
class Select(Node):
    """Keep one token: [T, C] -> [1, C]; a view (stored, never copied by hardware)."""

    index: int = 0


@dataclass(frozen=True, kw_only=True)
class Merge(Node):
    """Four neighbours side by side: [T, C] -> [T/4, 4C]; a view, as `Select` is."""

    merge: PatchMerge


@dataclass(frozen=True, kw_only=True)
class Pool(Node):
    """``sat8(rshr(sum over tokens, shift))``: int8 [T, C] -> [1, C] at ``e_x + shift``.

    The mean's ``1/T`` is folded into the weights that read it; see ``golden.ops.TokenPool``.
    """

    shift: int


@dataclass(frozen=True, kw_only=True)
class Head(Node):
    """Classifier: int32 logits ``(X W^T + B) << la`` at one common exponent; no quantizer."""

    weight: Array
    bias: Array
    weight_exp: Array
    la: Array
    bits: int = 8


NODE_TYPES: dict[str, type[Node]] = {
    t.__name__: t
    for t in (
        PatchEmbed,
        Linear,
        Scores,
        Softmax,
        AttnValue,
        Gelu,
        Residual,
        LayerNorm,
        Select,
        Merge,
        Pool,
        Head,
    )
}
#: Nodes whose output is their input seen otherwise: hardware reads other addresses.
VIEWS = (Select, Merge)


def out_bits(node: Node) -> int:
    """The width of what a node makes in int8 carriers: 4 where it narrows to that."""
    return int(getattr(node, "out_bits", 8))


def constants(node: Node) -> dict[str, Array]:
    """The array fields of a node by field name."""
    values = {f.name: getattr(node, f.name) for f in fields(node)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
