"""Everything between the products: residual, LayerNorm, GELU, and views of the tokens."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from golden.execute.tokens import Gather
from golden.graph import ir
from golden.quant.learn import straight_through as st
from golden.quant.learn.layer import Fixed, Parameters, integers, powers, row


class Gelu(Fixed):
    """The table, and the slope of what it stands for where it is not cut off.

    With ``steps`` the table's exponent has a gradient: what a longer tail is worth.
    """

    def __init__(
        self, node: ir.Gelu, in_exp: int, out_exp: int, steps: bool, device: torch.device
    ) -> None:
        super().__init__(node)
        if steps:
            self.start = {"step": torch.zeros(1, device=device)}
        x = torch.arange(-128, 128, dtype=torch.float64) * 2.0**in_exp
        normal = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        slope = 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * normal
        table = torch.tensor(node.table.astype(np.float64))
        limit = 1 << (node.out_bits - 1)
        inside = (table > -limit) & (table < limit - 1)
        self._table = table.float().to(device)
        self._slope = (slope * 2.0 ** (in_exp - out_exp) * inside).float().to(device)
        exact = 0.5 * x * (1 + torch.erf(x / math.sqrt(2))) * 2.0**-out_exp
        rise = math.log(2) * (table + node.zero - exact * inside)
        self._rise = rise.float().to(device)

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the table's entries."""
        return st.lookup(inputs[0], self._table, self._slope, p.get("step"), self._rise)


class Residual:
    """The adder; its position constants learn. ``pull`` is that of `straight_through.narrow`."""

    def __init__(self, node: ir.Residual, pull: float, device: torch.device) -> None:
        self.node, self._pull = node, pull
        self.start: Parameters = {}
        self._acc = row(powers(node.la - node.shift), device)
        self._old = row(powers(node.lo - node.shift), device)
        self._constant: torch.Tensor | None = None
        if node.constant is not None:
            self._constant = row(node.constant, device)
            self.start = {"constant": torch.zeros_like(self._constant)}
        self._places = None if node.windows is None else Gather(node.windows.places(), device)

    def _constant_of(self, p: Parameters) -> torch.Tensor | None:
        if self._constant is None:
            return None
        return st.rounded(self._constant + p["constant"] / self._old, 16)

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the new residual stream."""
        acc = inputs[0] if self._places is None else self._places(inputs[0])
        old = inputs[1] if len(inputs) == 2 else self._constant_of(p)
        total = acc * self._acc
        total = total if old is None else total + old * self._old
        return st.narrow(total, pull=self._pull)

    def learned(self, p: Parameters) -> ir.Node:
        """Return the node."""
        made = self._constant_of(p)
        return self.node if made is None else replace(self.node, constant=integers(made, np.int16))


class LayerNorm:
    """Gamma and beta learn as the fixed-point numbers that they are, an exponent with ``steps``."""

    def __init__(self, node: ir.LayerNorm, steps: bool, device: torch.device) -> None:
        self.node = node
        self._alpha = torch.tensor(powers(node.alpha), device=device)
        self._gamma = torch.tensor(node.gamma.astype(np.float64), device=device)
        self._beta = torch.tensor(node.beta.astype(np.float64), device=device)
        self._unit = float(np.abs(node.gamma.astype(np.float64)).mean()) or 1.0
        self._scale = 2.0**-node.shift
        none = torch.zeros(len(node.alpha), device=device)
        self.start: Parameters = {"gamma": none, "beta": none.clone()}
        if steps:
            self.start["step"] = torch.zeros(1, device=device)
        self._order = None if node.windows is None else Gather(node.windows.order(), device)

    def _constants(self, p: Parameters) -> tuple[torch.Tensor, torch.Tensor]:
        # One short of int16 on the negative side: the executor's bound is symmetric.
        gamma = self._gamma + p["gamma"].double() * self._unit
        beta = self._beta + p["beta"].double() / self._scale
        return st.rounded(gamma, 16).clamp(min=1 - (1 << 15)), st.rounded(beta, 32)

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return int8 tokens."""
        gamma, beta = self._constants(p)
        n = st.normalized(inputs[0], self._alpha)
        y = n * (gamma * self._scale) + beta * self._scale
        made = st.narrow(y, self.node.out_bits, p.get("step")).float()
        return made if self._order is None else self._order(made)

    def learned(self, p: Parameters) -> ir.Node:
        """Return the node."""
        gamma, beta = (integers(x, np.int64) for x in self._constants(p))
        old = self.node
        return replace(old, gamma=gamma.astype(old.gamma.dtype), beta=beta.astype(old.beta.dtype))


class Select(Fixed):
    """One token."""

    def __init__(self, node: ir.Select) -> None:
        super().__init__(node)
        self._index = node.index

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return [B, 1, C]."""
        return inputs[0][:, self._index : self._index + 1]


class Merge(Fixed):
    """Four neighbours side by side."""

    def __init__(self, node: ir.Merge, device: torch.device) -> None:
        super().__init__(node)
        self._gather = Gather(node.merge.order(), device)

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return [B, T/4, 4C]."""
        return self._gather(inputs[0])


class Pool(Fixed):
    """The rounded sum over the tokens."""

    def __init__(self, node: ir.Pool) -> None:
        super().__init__(node)
        self._scale = 2.0**-node.shift

    def __call__(self, p: Parameters, *inputs: torch.Tensor) -> torch.Tensor:
        """Return [B, 1, C]."""
        return st.narrow(inputs[0].sum(1, keepdim=True) * self._scale)
