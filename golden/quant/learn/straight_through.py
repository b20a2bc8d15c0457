"""Integer steps whose forward is exact and whose backward pretends that nothing was rounded.

Integers travel as float32 numbers: sums below 2**24 are exact, whatever their order. A rounding
passes its gradient on unchanged, a saturation passes none (straight-through estimator: Bengio et
al. 2013, arXiv:1308.3432).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd import Function

from golden.execute.codes import Codes
from golden.execute.layernorm import normalize


class _Narrow(Function):
    """``sat(floor(x + 1/2))``: the gradient of what saturates is 0, but for ``pull``."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, limit: float, step: torch.Tensor | None, pull: float
    ) -> torch.Tensor:
        y = (x + 0.5).floor_()
        inside = (y >= -limit) & (y < limit)
        y.clamp_(-limit, limit - 1)
        ctx.pull, ctx.shape = pull, None if step is None else step.shape
        ctx.save_for_backward(inside, *(() if step is None and not pull else (x, y)))
        return y

    @staticmethod
    def backward(
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, None, torch.Tensor | None, None]:
        inside, *numbers = ctx.saved_tensors
        passed, moved = grads[0] * inside, None
        if ctx.shape is not None:
            x, y = numbers
            moved = _step_gradient(grads[0], x, y, inside, ctx.shape)
        if ctx.pull:
            x, y = numbers
            passed = passed + ctx.pull * (x - y) * ~inside
        return passed, None, moved, None


def _step_gradient(
    gradient: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    inside: torch.Tensor,
    shape: torch.Size,
) -> torch.Tensor:
    """The gradient with respect to ``e`` of ``2**e * y`` that stands for ``2**e * x``.

    ``y`` is ``x`` rounded, or a limit that does not move with ``x`` (learned step size, Esser et
    al. 2020, arXiv:1902.08153, for steps that are powers of two).
    """
    return (math.log(2) * gradient * (y - x * inside)).sum_to_size(shape)


class _Round(Function):
    """``floor(x + 1/2)`` within limits; the gradient passes unchanged."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, low: float, high: float, step: torch.Tensor | None
    ) -> torch.Tensor:
        y = (x + 0.5).floor_()
        ctx.shape = None if step is None else step.shape
        if step is not None:
            inside = (y >= low) & (y <= high)
            ctx.save_for_backward(inside, x, y.clamp_(low, high))
        return y.clamp_(low, high)

    @staticmethod
    def backward(
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, None, None, torch.Tensor | None]:
        if ctx.shape is None:
            return grads[0], None, None, None
        inside, x, y = ctx.saved_tensors
        return grads[0], None, None, _step_gradient(grads[0], x, y, inside, ctx.shape)


class _Lookup(Function):
    """A table of 256 entries at int8 positions, with tables of slopes for the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        table: torch.Tensor,
        slope: torch.Tensor,
        step: torch.Tensor | None,
        rise: torch.Tensor,
    ) -> torch.Tensor:
        index = (x + 128).to(torch.uint8)
        ctx.save_for_backward(index, slope, rise)
        ctx.shape = None if step is None else step.shape
        return table.index_select(0, index.reshape(-1).int()).view(x.shape)

    @staticmethod
    def backward(
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, None, None, torch.Tensor | None, None]:
        index, slope, rise = ctx.saved_tensors
        place, moved = index.reshape(-1).int(), None
        local = slope.index_select(0, place).view(index.shape)
        if ctx.shape is not None:
            moved = (grads[0].reshape(-1) * rise.index_select(0, place)).sum().reshape(ctx.shape)
        return grads[0] * local, None, None, moved, None


class _Probabilities(Function):
    """Log-Int-Softmax codes as what they multiply V by; the softmax's own gradient."""

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, step: Codes, table: torch.Tensor, slope: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        index = step.positions(logits)
        e = step.exponential(index)
        total = e.sum(-1, keepdim=True)
        codes = step.codes(index, e, total)
        ctx.save_for_backward(e / total, slope)
        ctx.mark_non_differentiable(codes)
        return table.index_select(0, codes.view(-1).int()).view(codes.shape), codes

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        p, slope = ctx.saved_tensors
        pushed = p * grads[0]
        pushed -= p * pushed.sum(-1, keepdim=True)
        return pushed * slope, None, None, None


class _Attend(Function):
    """Shifted sums of V, the half-step lanes rounded as the hardware rounds them."""

    @staticmethod
    def forward(
        ctx: Any,
        p: torch.Tensor,
        v: torch.Tensor,
        whole: torch.Tensor,
        part: torch.Tensor | None,
        step: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(p, v)
        made = whole @ v
        if part is not None:
            made += part @ (v * step + 0.5).floor_()
        return made

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        p, v = ctx.saved_tensors
        return grads[0] @ v.transpose(-1, -2), p.transpose(-1, -2) @ grads[0], None, None, None


class _Normalize(Function):
    """The integer LayerNorm's normalised value (16 fraction bits), LayerNorm's own gradient."""

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        n, root = normalize(q, alpha)
        ctx.save_for_backward((n * 2.0**-16).float(), root.float(), alpha.float())
        return n

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        y, root, alpha = ctx.saved_tensors
        g = (grads[0] * 65536.0).float()
        g = g - g.mean(-1, keepdim=True) - y * (g * y).mean(-1, keepdim=True)
        return g * root * alpha, None


def narrow(
    x: torch.Tensor, bits: int = 8, step: torch.Tensor | None = None, pull: float = 0.0
) -> torch.Tensor:
    """Round to ``bits`` with saturation.

    ``step`` broadcasts to ``x``; its value is not looked at, its gradient is that of the result's
    exponent. ``pull`` weighs half the squared distance of what saturates from the limit: a term
    of the loss that exists on the way back only.
    """
    made: torch.Tensor = _Narrow.apply(x, 2.0 ** (bits - 1), step, pull)
    return made


def rounded(x: torch.Tensor, bits: int, step: torch.Tensor | None = None) -> torch.Tensor:
    """Round to signed integers of ``bits`` bits; ``step`` is as in `narrow`."""
    limit = 2.0 ** (bits - 1)
    made: torch.Tensor = _Round.apply(x, -limit, limit - 1, step)
    return made


def lookup(
    x: torch.Tensor,
    table: torch.Tensor,
    slope: torch.Tensor,
    step: torch.Tensor | None,
    rise: torch.Tensor,
) -> torch.Tensor:
    """``table[x + 128]`` of int8 ``x``; ``slope`` [256] is the table's derivative.

    ``rise`` [256] is the derivative with respect to the table's exponent, whose gradient is
    ``step``'s.
    """
    made: torch.Tensor = _Lookup.apply(x, table, slope, step, rise)
    return made


def probabilities(
    logits: torch.Tensor, step: Codes, table: torch.Tensor, slope: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each code [B, H, T, T] multiplies V by, and the codes.

    ``table`` [256] holds that factor by code, ``slope`` [H, 1, 1] is d(ln E)/d(logit).
    """
    made: tuple[torch.Tensor, torch.Tensor] = _Probabilities.apply(logits, step, table, slope)
    return made


def attend(
    p: torch.Tensor,
    v: torch.Tensor,
    whole: torch.Tensor,
    part: torch.Tensor | None = None,
    step: float = 0.0,
) -> torch.Tensor:
    """``whole @ v + part @ rshr(step * v)``, the gradient that of ``p @ v``."""
    made: torch.Tensor = _Attend.apply(p, v, whole, part, step)
    return made


def normalized(q: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Return float64 ``n`` of the integer LayerNorm for tokens ``q`` [..., C], ``alpha`` = 2**a."""
    made: torch.Tensor = _Normalize.apply(q, alpha)
    return made
