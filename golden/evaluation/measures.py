"""Logits of the float and the integer network, and what is compared of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from golden.data.pictures import Sample
from golden.execute.batched import Executor
from golden.graph import ir
from golden.models.load import LoadedModel
from golden.ops.softmax import MASKED, ExpForm, LogIntSoftmax

BATCH = 8
Floats = npt.NDArray[np.float64]


def pixels_of(model: LoadedModel, samples: Sequence[Sample]) -> npt.NDArray[np.uint8]:
    """Decode pictures, uint8 [N, H, W, C]."""
    if not samples:
        size, channels = model.spec.preprocess.size, model.spec.preprocess.channels
        return np.empty((0, size, size, channels), np.uint8)
    return np.stack([sample.pixels(model.spec.preprocess) for sample in samples])


def float_logits(model: LoadedModel, pixels: npt.NDArray[np.uint8]) -> Floats:
    """fp32 logits [N, classes] of the float network."""
    with torch.inference_mode():
        parts = [
            model.module(model.spec.preprocess.normalize(pixels[i : i + BATCH]))
            for i in range(0, len(pixels), BATCH)
        ]
    return torch.cat(parts).double().numpy()


def integer_logits(graph: ir.Graph, pixels: npt.NDArray[np.uint8]) -> Floats:
    """Logits [N, classes] of the integer network in real units."""
    exponent = int(graph.tensors[graph.output].exponent[0])
    return np.ldexp(Executor(graph).run(pixels).astype(np.float64), exponent)


def sqnr(got: Floats, wanted: Floats) -> float:
    """Signal power over error power, dB."""
    return float(10 * np.log10(np.square(wanted).sum() / np.square(got - wanted).sum()))


def codes_off(graph: ir.Graph, pixels: npt.NDArray[np.uint8]) -> float | None:
    """Percent of attention codes that exact exponentials would have made another code.

    The same logits and rule, ``E`` exact to 32 bits. None for uniform attention.
    """
    nodes = [node for node in graph.nodes if isinstance(node, ir.Softmax) and node.fmt is not None]
    if not nodes:
        return None
    traced = Executor(graph).trace(pixels, [x for n in nodes for x in (*n.inputs, n.output)])
    differ = total = 0
    for node in nodes:
        assert node.fmt is not None
        unit = LogIntSoftmax(form=node.form, fmt=node.fmt, rule=node.rule)
        x = traced[node.inputs[0]].astype(np.float64)
        octaves = 1.0 if node.form is ExpForm.BASE2 else math.log2(math.e)
        distance = np.ldexp(x.max(-1, keepdims=True) - x, node.logit_exp[:, None, None]) * octaves
        power = np.floor(np.ldexp(np.exp2(-distance), 32) + 0.5).astype(np.int64)
        if node.masked:
            power[x == MASKED] = 0
        wanted = unit.codes(power, power.sum(-1, keepdims=True))
        differ += int((wanted != traced[node.output]).sum())
        total += wanted.size
    return 100 * differ / total


def agreement(logits: Floats, wanted: Floats) -> float:
    """Percent of pictures with the same largest logit."""
    return 100 * float((logits.argmax(1) == wanted.argmax(1)).mean())
