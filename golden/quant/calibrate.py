"""The integer graph as it grows, and the calibration pictures carried through it exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.steps import StepBuilder
from golden.graph import ir
from golden.quant.layer import LayerRules, fitted, rounded, whole_bias
from golden.quant.options import QuantOptions
from golden.quant.search import statistics, weights
from golden.quant.search.linear import LinearParameters, in_chunks
from golden.quant.search.observers import exponents
from golden.support.errors import PotvitError

Floats = npt.NDArray[np.float64]

#: Shifts are signed 6-bit numbers in hardware.
SHIFT_MIN, SHIFT_MAX = -32, 31
#: Values that an observer sees; more are thinned to every n-th picture.
OBSERVED_VALUES = 1 << 21


def ints(values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Return an int32 array of at least one dimension, the graph's type for exponents."""
    return np.atleast_1d(np.asarray(values)).astype(np.int32)


class Calibrator:
    """Appends nodes, runs each on all pictures at once, and keeps the edges still needed.

    ``values`` maps an edge to its exact integers [N, ...]; ``tensors`` and ``nodes`` are the
    graph so far; ``class_weight`` is what the class token counts for at this point of the
    network; ``wanted`` keeps the real weights that each layer was rounded from.
    Everything a node's constants depend on comes from here, so no float of an earlier layer
    reaches a later one except through the float network's own outputs.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.uint8],
        options: QuantOptions,
    ) -> None:
        self.options = options
        self.class_weight = options.class_weight
        self.tensors: dict[str, ir.Tensor] = {}
        self.nodes: list[ir.Node] = []
        self.values: dict[str, torch.Tensor] = {}
        self.wanted: dict[str, Floats] = {}
        self._moments: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self._steps = StepBuilder(torch.device("cpu"))
        self._edge("image", torch.from_numpy(pixels), 0, wire=False)

    @contextmanager
    def weighing(self, class_weight: float) -> Iterator[None]:
        """Let the class token count for ``class_weight`` tokens inside a ``with``."""
        before, self.class_weight = self.class_weight, class_weight
        try:
            yield
        finally:
            self.class_weight = before

    def _edge(
        self,
        name: str,
        value: torch.Tensor,
        exponent: npt.ArrayLike,
        wire: bool,
        bits: int = 8,
    ) -> None:
        self.tensors[name] = ir.Tensor(
            name=name,
            shape=tuple(value.shape[1:]),
            dtype=str(value.dtype).removeprefix("torch."),
            exponent=ints(exponent),
            kind=ir.Kind.WIRE if wire else ir.Kind.STORED,
            bits=bits,
        )
        self.values[name] = value

    def add(self, node: ir.Node, exponent: npt.ArrayLike, *, wire: bool = False) -> str:
        """Append a node and run it on the calibration pictures; its output edge's name."""
        shift = getattr(node, "shift", None)
        if shift is not None and (np.min(shift) < SHIFT_MIN or np.max(shift) > SHIFT_MAX):
            raise PotvitError(
                f"{node.name}: a shift is outside the hardware's {SHIFT_MIN}..{SHIFT_MAX}: "
                "are the weights those of a trained network?"
            )
        self.nodes.append(node)
        self._edge(node.output, self.run(node), exponent, wire, ir.out_bits(node))
        return node.output

    def run(self, node: ir.Node) -> torch.Tensor:
        """Return a node's exact output on the calibration pictures, its widths proven first."""
        inputs = [self.values[name] for name in node.inputs]
        return in_chunks(self._steps.prepare(node, inputs[0].shape[1:]), *inputs)

    def drop(self, *names: str) -> None:
        """Forget the values of edges that nothing else reads."""
        for name in names:
            del self.values[name]
            self._moments.pop(name, None)

    def exponent(self, name: str) -> npt.NDArray[np.int32]:
        """Return an edge's exponents."""
        return self.tensors[name].exponent

    def real(self, value: torch.Tensor, exponent: npt.ArrayLike) -> Floats:
        """Return ``value * 2**exponent`` in float64, thinned to ``OBSERVED_VALUES``."""
        step = max(1, -(-value.numel() // OBSERVED_VALUES))
        return np.ldexp(value[::step].double().numpy(), np.asarray(exponent))

    def observe(self, real: Floats, groups: int = 1, bits: int = 8) -> npt.NDArray[np.int64]:
        """Return exponents [groups] of [N, T, C] values of ``bits``; channels form equal groups."""
        return exponents(self.options.method, real, groups, self.class_weight, bits)

    def accumulator(
        self,
        name: str,
        source: str,
        layer: LinearParameters,
        target: torch.Tensor,
        *,
        output: str | None = None,
        zero: int = 0,
        x: torch.Tensor | None = None,
        span: int = weights.EXPONENT_SPAN,
    ) -> ir.Linear:
        """Return a quantized layer without requantizer, fitted to ``target`` [N, T, C].

        ``zero`` is the offset of the input's GELU table: real input = (q + zero) * 2**e. ``x``
        stands in for the source's values (patches instead of an image). Weight exponents span at
        most ``span`` bits.
        """
        exponent = int(self.exponent(source)[0])
        rules = LayerRules.of(self.options, name, span)
        seen = self._seen(source, target, rules, x) if rules.needs_moments else None
        wanted = fitted(layer, seen, rules)
        made = rounded(wanted.weight, seen, rules)
        self.wanted[name] = wanted.weight
        return ir.Linear(
            name=name,
            inputs=(source,),
            output=output or name,
            weight=made.values,
            bias=whole_bias(layer.bias, made, seen, rules, exponent=exponent, zero=zero),
            weight_exp=made.exponent,
            bits=rules.bits,
        )

    def _seen(
        self, source: str, target: torch.Tensor, rules: LayerRules, x: torch.Tensor | None
    ) -> statistics.Moments:
        """Moments of a layer's inputs (``x`` in place of the source's) and float targets."""
        inputs = self.values[source] if x is None else x
        if source not in self._moments:
            self._moments[source] = statistics.second_moments(inputs)
        # Rounding to 4 bits takes so much from the statistics that it would learn the few class
        # tokens by heart.
        weight = self.class_weight if rules.bits == 8 else self.options.class_weight
        exponent = int(self.exponent(source)[0])
        return statistics.moments(inputs, exponent, target, self._moments[source], weight)
