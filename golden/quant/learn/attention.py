"""Scores, Log-Int-Softmax and attention x V with the gradient of a softmax."""

from __future__ import annotations

import math

import numpy as np
import torch

from golden.execute.attention import split_heads
from golden.execute.codes import Codes
from golden.graph import ir
from golden.ops.shift_attention import HALF_STEP
from golden.ops.softmax import MASKED, AttnFormat, ExpForm
from golden.quant.learn import straight_through as st
from golden.quant.learn.layer import Fixed, Parameters, powers, row
from golden.quant.vit.attention import code_weights
from golden.support.errors import PotvitError


class Scores(Fixed):
    """Logits per head, in windows too."""

    def __init__(self, node: ir.Scores, steps: bool, device: torch.device) -> None:
        super().__init__(node)
        if steps:
            self.start = {"step": torch.zeros(node.heads, device=device)}
        self._heads, self._windows = node.heads, node.windows
        self._scale = row(powers(-node.shift), device)[:, None, None]
        self._bias: torch.Tensor | None = None
        if node.bias is not None and node.bias_shift is not None:
            shift = (node.bias_shift - node.shift)[:, None, None]
            self._bias = row(np.ldexp(node.bias.astype(np.float64), shift), device)
        self._masked: torch.Tensor | None = None
        if node.windows is not None and node.windows.masks:
            self._masked = torch.tensor(node.windows.masked(), device=device)[:, None]

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return int8 logits."""
        step = p["step"][:, None, None] if "step" in p else None
        if self._windows is None:
            return st.narrow(self._scaled(*inputs), step=step)
        size, (q, k) = self._windows.size, inputs
        logits = self._scaled(*(x.reshape(-1, size, x.shape[-1]) for x in (q, k)))
        logits = st.narrow(logits.view(len(q), -1, *logits.shape[1:]), step=step)
        if self._masked is None:
            return logits
        return logits.clamp(min=MASKED + 1).masked_fill(self._masked, MASKED)

    def _scaled(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        query, key = (split_heads(x, self._heads) for x in (q, k))
        made = (query * self._scale) @ key.transpose(-1, -2)
        return made if self._bias is None else made + self._bias


class Softmax(Fixed):
    """Codes; what they multiply V by travels with them (`AttnValue` reads it)."""

    def __init__(self, node: ir.Softmax, keys: int, device: torch.device) -> None:
        super().__init__(node)
        if node.fmt is None:
            raise PotvitError("learned rounding needs log2 or half-step codes, not uniform ones")
        self._step = Codes(node, keys, device)
        self._table = code_weights(node.fmt).float().to(device)
        natural = math.log(2) if node.form is ExpForm.BASE2 else 1.0
        self._slope = row(powers(node.logit_exp) * natural, device)[:, None, None]

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the factors of V; the codes are their attribute ``codes``."""
        factors, codes = st.probabilities(inputs[0], self._step, self._table, self._slope)
        factors.codes = codes  # type: ignore[attr-defined]
        return factors


class AttnValue(Fixed):
    """Sums of shifted values, those of half steps rounded first as the hardware does."""

    def __init__(self, node: ir.AttnValue, steps: bool, device: torch.device) -> None:
        super().__init__(node)
        if steps:
            self.start = {"step": torch.zeros(1, device=device)}
        self._heads, self._bits = node.heads, node.out_bits
        self._scale = row(powers(-node.shift), device)[:, None, None]
        self._tables: tuple[torch.Tensor, torch.Tensor] | None = None
        if node.fmt is AttnFormat.HALF:
            table, odd = code_weights(node.fmt), torch.arange(256) % 2 == 1
            whole = torch.where(odd, 0.0, table).float().to(device)
            part = torch.where(odd, table * (256 / HALF_STEP), 0.0).float().to(device)
            self._tables = whole, part

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return int8 [B, T, C]."""
        v = inputs[1]
        factors = inputs[0].flatten(0, -4)
        parts = v.reshape(len(factors), factors.shape[-1], v.shape[-1])
        value = split_heads(parts, self._heads)
        if self._tables is None:
            made = st.attend(factors, value, factors.detach())
        else:
            codes = inputs[0].codes  # type: ignore[attr-defined]
            index = codes.reshape(-1).int()
            whole, part = (t.index_select(0, index).view(factors.shape) for t in self._tables)
            made = st.attend(factors, value, whole, part, HALF_STEP / 256)
        out = st.narrow(made * self._scale, self._bits, p.get("step")).transpose(1, 2).flatten(2)
        return out.reshape(v.shape)
