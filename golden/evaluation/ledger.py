"""The fidelity ledger: how far every integer tensor is from the float network's.

A graph may keep a tensor in a form that a later layer undoes exactly. Those forms are undone
here before comparing: LayerNorm outputs up to a power of two per channel (smoothing), q and the
logits without the folded ``log2(e)/sqrt(d)``, k, v and attention's output up to a constant per
channel (k's adds the same to all logits of a row, the others' returns through the projection's
bias) and up to powers of two that q and the projection undo, logits up to a constant per row.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.execute.batched import Executor
from golden.graph import ir
from golden.models.float_trace import float_trace
from golden.models.load import LoadedModel
from golden.ops.softmax import MASKED
from golden.quant.vit.attention import code_weights, query_scale

Floats = npt.NDArray[np.float64]
#: Pictures the ledger looks at: enough for a decibel figure, few enough for the memory.
PICTURES = 8


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One tensor of the ledger.

    Attributes:
        tensor: edge name.
        sqnr_db: 10 log10 of signal over error energy; None where nothing differs.
        saturated: percent of the values at either end of int8; None where that means nothing.
        elements: values compared.
    """

    tensor: str
    sqnr_db: float | None
    saturated: float | None
    elements: int


def ledger(
    model: LoadedModel, executor: Executor, pixels: npt.NDArray[np.uint8]
) -> list[dict[str, Any]]:
    """Return the ledger of the first pictures of ``pixels``, in execution order."""
    pixels = pixels[:PICTURES]
    wanted = float_trace(model.module, model.spec.preprocess.normalize(pixels))
    graph = executor.graph
    names = [node.output for node in graph.nodes if node.output in wanted]
    got = executor.trace(pixels, names)
    nodes = {node.output: node for node in graph.nodes}
    entries = []
    factors: dict[str, npt.NDArray[np.int64]] = {}
    for name in names:
        reference = wanted.pop(name).double().numpy()
        value = got.pop(name)
        real = _undone(name, _real(nodes[name], value, graph), reference, factors)
        hidden = np.isnan(reference)  # masked keys: there is nothing to compare
        reference[hidden] = real[hidden] = 0.0
        entries.append(
            Entry(
                tensor=name,
                sqnr_db=sqnr_db(reference, real),
                saturated=_saturated(value, nodes[name]),
                elements=value.size - int(hidden.sum()),
            )
        )
    return [asdict(entry) for entry in entries]


def sqnr_db(reference: Floats, value: Floats) -> float | None:
    """Signal over error energy in decibels; None for equal tensors or no signal."""
    error = float(np.square(reference - value).sum())
    signal = float(np.square(reference).sum())
    return round(10 * math.log10(signal / error), 2) if error > 0 and signal > 0 else None


def _real(node: ir.Node, value: npt.NDArray[Any], graph: ir.Graph) -> Floats:
    """The real values of an edge, as the float network scales them."""
    if isinstance(node, ir.Softmax):
        return np.asarray(code_weights(node.fmt).numpy()[value])
    exponent = graph.tensors[node.output].exponent
    if isinstance(node, ir.Scores):
        exponent = exponent[:, None, None]
    zero = node.zero if isinstance(node, ir.Gelu) else 0
    real = np.ldexp(value.astype(np.float64) + zero, exponent)
    attention = _attention_of(node, graph)
    if attention is not None:
        scores, softmax = attention
        depth = graph.tensors[scores.inputs[0]].shape[-1] // scores.heads
        factor, power = query_scale(depth, softmax.form)
        # The graph's logits carry log2(e) in the base-2 form, its q the whole odd factor.
        real /= factor if node.output == scores.inputs[0] else factor * 2.0**-power * depth**0.5
    return np.asarray(real)


def _attention_of(node: ir.Node, graph: ir.Graph) -> tuple[ir.Scores, ir.Softmax] | None:
    """The scores that ``node`` is or is the query of, and their softmax."""
    for scores in graph.nodes:
        if isinstance(scores, ir.Scores) and node.output in (scores.inputs[0], scores.output):
            for softmax in graph.nodes:
                if isinstance(softmax, ir.Softmax) and softmax.inputs == (scores.output,):
                    return scores, softmax
    return None


def _undone(
    name: str, real: Floats, reference: Floats, factors: dict[str, npt.NDArray[np.int64]]
) -> Floats:
    """Undo the forms that later layers undo exactly (see the module's first lines).

    k takes its powers of two from q and attention's output from v (``factors``, by edge name),
    not from itself: a wrong exponent of either must show.
    """
    axes = tuple(range(real.ndim - 1))
    block, _, kind = name.rpartition(".")
    if kind in ("ln0", "ln1", "ln2", "q"):
        factors[name] = _factor(real, reference)
        return np.asarray(np.ldexp(real, factors[name]))
    if kind == "scores":
        return np.asarray(real + np.nanmean(reference - real, -1, keepdims=True))
    if kind not in ("k", "v", "attn"):
        return real
    mean = reference.mean(axes)
    real = real - real.mean(axes)
    if kind == "v":
        factors[name] = _factor(real, reference - mean)
    factor = -factors[f"{block}.q"] if kind == "k" else factors[f"{block}.v"]
    return np.asarray(np.ldexp(real, factor) + mean)


def _factor(real: Floats, reference: Floats) -> npt.NDArray[np.int64]:
    """Return the power of two per channel that brings ``real`` closest to ``reference``."""
    axes = tuple(range(real.ndim - 1))
    cross, power = (real * reference).sum(axes), (real * real).sum(axes)
    known = (cross > 0) & (power > 0)
    ratio = np.where(known, cross, 1.0) / np.where(known, power, 1.0)
    return np.rint(np.log2(ratio)).astype(np.int64)


def _saturated(value: npt.NDArray[Any], node: ir.Node) -> float | None:
    if value.dtype != np.int8:
        return None
    lowest = -128
    if isinstance(node, ir.Scores) and node.windows is not None and node.windows.masks:
        value, lowest = value[value != MASKED], MASKED + 1
    return round(100 * float(((value == lowest) | (value == 127)).mean()), 3)
