"""``python -m golden export MODEL [DATA] --out DIR``: the integer network as a bundle."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.catalogue.preprocess import Preprocess
from golden.commands import quant_arguments
from golden.commands.model_arguments import model_request
from golden.data.datasets import Dataset
from golden.data.pictures import Sample
from golden.execute.batched import Executor
from golden.graph import ir
from golden.graph.bundle import MANIFEST, save_bundle
from golden.models.load import find_model, load_found
from golden.quant import quantize
from golden.quant.learn.defaults import FOLDER as KEPT
from golden.support.atomic_folder import AtomicFolder
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.progress import progress

FOLDER = BUILD / "bundles"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    quant_arguments.add_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="bundle (build/bundles/...)")
    parser.add_argument(
        "--tensors",
        type=quant_arguments.natural,
        default=0,
        metavar="N",
        help="add every tensor of N pictures",
    )


def run(args: argparse.Namespace) -> int:
    """Quantize and write the bundle; it appears complete or not at all."""
    options = quant_arguments.quant_options(args)
    found = find_model(model_request(args))
    spec = found.spec
    data = quant_arguments.dataset(args, spec)
    shown = stream_samples(data, args.tensors)
    calibration = quant_arguments.calibration(args, data, spec)
    out = args.out or FOLDER / f"{spec.name}-{options.bits.name}-{options.attn}"
    AtomicFolder(out, marker=MANIFEST).check()
    model = load_found(found)
    options, more = quant_arguments.learning(args, options, model)
    graph = quantize(model, calibration, options, more=more, keep=KEPT, quiet=False)
    graph = replace(graph, meta={**graph.meta, "data": data.origin, "streams": _listed(shown)})
    save_bundle(graph, out, streams(graph, shown, spec.preprocess))
    size = sum(path.stat().st_size for path in out.iterdir())
    args.report = {"bundle": str(out), "nodes": len(graph.nodes), "bytes": size, **graph.meta}
    print("\n".join(data.notes()))
    print(f"{out}: {len(graph.nodes)} nodes, {len(shown)} pictures, {size / 1e6:.1f} MB")
    return 0


def stream_samples(data: Dataset, count: int) -> list[Sample]:
    """Pictures to export tensors of: evaluation ones, or calibration ones where there are none.

    Raises:
        PotvitError: the data set has fewer.
    """
    pictures = data.evaluation or data.calibration
    if count > len(pictures):
        raise PotvitError(f"--tensors {count}: {data.origin} has only {len(pictures)} pictures")
    return list(pictures[:count])


def streams(
    graph: ir.Graph, samples: Sequence[Sample], preprocess: Preprocess
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Yield every edge of one picture after the other, the image included."""
    if not samples:
        return
    executor = Executor(graph)
    names = [node.output for node in graph.nodes]
    for sample in progress(samples, "tensors"):
        pixels = sample.pixels(preprocess)
        traced = executor.trace(pixels[np.newaxis], names)
        yield {graph.input: pixels} | {name: value[0] for name, value in traced.items()}


def _listed(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    return [{"file": sample.name, "label": sample.label} for sample in samples]
