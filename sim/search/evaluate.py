"""One choice of weight bits measured: cycles by the compiler, fidelity on held-out pictures.

Everything here is a job: a function of a task that JSON can write, run in a process of its own.
A process loads the network and the pictures once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.data.datasets import default_data, open_dataset
from golden.execute.batched import Executor
from golden.graph import ir
from golden.models.load import LoadedModel, load_model
from golden.quant import BitMap, QuantOptions, Widths, quantize_pixels
from golden.support.errors import PotvitError
from hw.compiler import compile_graph
from hw.config import PRESETS, Config

Pixels = npt.NDArray[np.uint8]
#: Pictures that the float network sees at a time.
BATCH = 8


@lru_cache(maxsize=1)
def setting(
    name: str, weights: str | None, data: str | None, count: int | None, seed: int
) -> tuple[LoadedModel, Pixels, Pixels, npt.NDArray[np.float64]]:
    """The network, pictures to calibrate on, others to measure on, and float logits of those.

    Both halves are calibration pictures: what is reported on is never searched on.
    """
    model = load_model(name, Path(weights) if weights else None, quiet=True)
    found = open_dataset(data if data is not None else default_data(model.spec), model.spec)
    samples = found.calib(count, seed)
    if len(samples) < 2:
        raise PotvitError("a search needs two calibration pictures: one half judges the other")
    pixels = np.stack([sample.pixels(model.spec.preprocess) for sample in samples])
    with torch.inference_mode():
        held = model.spec.preprocess.normalize(pixels[1::2])
        logits = torch.cat([model.module(part) for part in held.split(BATCH)]).double().numpy()
    return model, pixels[::2], pixels[1::2], logits


def measure(task: Mapping[str, Any]) -> dict[str, float]:
    """Quantize with the task's ``four`` (layers with 4-bit weights), compile and compare.

    Returns ``cycles`` of one picture, ``agreement`` in percent and ``divergence`` of the logits,
    both on the held half.
    """
    model, calibration, held, wanted = setting(*task["setting"])
    four = dict.fromkeys(task["four"], Widths(weights=4))
    options = QuantOptions(bits=BitMap(name="search", patterns=four), attn=task["attn"])
    graph = quantize_pixels(model, calibration, options)
    exponent = int(graph.tensors[graph.output].exponent[0])
    logits = np.ldexp(Executor(graph).run(held).astype(np.float64), exponent)
    p, q = (torch.log_softmax(torch.from_numpy(x), -1) for x in (wanted, logits))
    return {
        "cycles": compile_graph(graph, _told(task["config"])).cycles,
        "agreement": 100 * float((logits.argmax(1) == wanted.argmax(1)).mean()),
        "divergence": float((p.exp() * (p - q)).sum(1).mean()),
    }


def told(config: Config) -> dict[str, Any]:
    """``config`` as a task has it: every parameter by its name."""
    return {name: getattr(value, "value", value) for name, value in asdict(config).items()}


def _told(parameters: Mapping[str, Any]) -> Config:
    """What `told` was given."""
    kinds = {name: type(value) for name, value in asdict(PRESETS["base"]).items()}
    return Config(**{name: kinds[name](value) for name, value in parameters.items()})


def cycles(graph: ir.Graph, four: set[str], config: Config) -> int:
    """Cycles of ``graph`` with ``four`` layers at 4 bits (their weights cut off: only time counts).

    Raises:
        PotvitError: the configuration cannot run it.
    """
    nodes = tuple(
        replace(node, bits=4, weight=node.weight.clip(-8, 7))
        if isinstance(node, ir.Linear) and node.name in four
        else node
        for node in graph.nodes
    )
    return compile_graph(replace(graph, nodes=nodes), config).cycles
