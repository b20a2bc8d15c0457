"""``python -m golden study``: every option of the quantizer against accuracy, as a document.

Each row is quantized on the calibration pictures and evaluated on `dev`; for the choice of
defaults it is also quantized on either half of the calibration pictures and scored on the other
(agreement with fp32, SQNR of the logits). Rows are kept as JSON in ``build/study`` by options,
weights and pictures, and not repeated; the document is written from whatever rows there are. Rows
that other sources of the quantizer made are named, not repeated: that would take hours after every
change, and ``--fresh`` does it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.catalogue.models import MODELS
from golden.data.datasets import default_data, open_dataset
from golden.data.pictures import Sample
from golden.evaluation.study_rows import ROWS, SUBSET_SECTIONS, Row, select
from golden.evaluation.study_table import document
from golden.execute.batched import Executor
from golden.graph import ir
from golden.models.load import LoadedModel, load_model
from golden.ops.softmax import MASKED, ExpForm, LogIntSoftmax
from golden.quant import QuantOptions, quantize_pixels
from golden.quant.learn.defaults import FOLDER as KEPT
from golden.quant.learn.defaults import more_pictures
from golden.quant.search.observers import METHODS
from golden.support.kept import files_digest
from golden.support.locations import BUILD
from golden.support.machine import machine
from golden.support.notes import note
from golden.support.progress import progress
from golden.support.report_file import require_writable, write_json, write_text

FOLDER = BUILD / "study"
SOURCES = Path(__file__).parents[1]
#: Pictures that codes are compared with exact exponentials on.
CODE_PICTURES = 2
BATCH = 8
Floats = npt.NDArray[np.float64]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("rows", nargs="*", metavar="ROW", help="parts of row names (all)")
    parser.add_argument("--model", default="deit_tiny", help="model of the table (deit_tiny)")
    parser.add_argument("--data", metavar="DATA", help="data set (default: $POTVIT_DATA/photos)")
    parser.add_argument("--calib", type=int, metavar="N", help="calibration pictures (all)")
    parser.add_argument("--limit", type=int, metavar="N", help="evaluation pictures (all)")
    parser.add_argument("--matrix", action="store_true", help="also every observer on every model")
    parser.add_argument(
        "--subsets", type=int, default=0, metavar="N",
        help="also the first rows on N random halves of the calibration pictures (0)",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print the row names and stop")
    parser.add_argument("--fresh", action="store_true", help="repeat rows that are there")
    parser.add_argument("--out", type=Path, default=Path("docs/accuracy.md"), metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Run the missing rows, then write the document."""
    if args.list:
        print("\n".join(row.slug for row in ROWS))
        return 0
    chosen = select(args.rows)
    require_writable(args.out)
    study = Study(args.model, args.data, args.calib, args.limit, fresh=args.fresh)
    for row in progress([row for row in chosen if study.applies(row)], "study"):
        study.row(row)
    for row in progress([r for r in chosen if r.section in SUBSET_SECTIONS], "subsets"):
        for seed in range(args.subsets):
            study.subset(row, seed)
    if args.matrix:
        for name in MODELS:
            matrix_row(name, fresh=args.fresh)
    rows = [(row, found) for row in ROWS if (found := study.stored(row)) is not None]
    matrix = {name: found for name in MODELS if (found := _read(_matrix_path(name))) is not None}
    text = document(study.facts(), rows, matrix, [(row, study.subsets(row)) for row in ROWS])
    write_text(args.out, text)
    now = sources()
    old = [row.slug for row, found in rows if found.get("sources") != now]
    old += [f"matrix {name}" for name, found in matrix.items() if found.get("sources") != now]
    if old:
        note(
            f"{len(old)} of them were made by other sources of the quantizer ({old[0]}, ...): "
            "--fresh makes the rows of this call again"
        )
    print(f"{len(rows)} of {len(ROWS)} rows in {args.out}")
    return 0


class Study:
    """The float figures of a data set, and rows measured against them."""

    def __init__(
        self, name: str, data: str | None, calib: int | None, limit: int | None, *, fresh: bool
    ) -> None:
        self.model = load_model(name)
        spec = self.model.spec
        found = open_dataset(data if data is not None else default_data(spec), spec)
        self._fresh = fresh
        self._more: npt.NDArray[np.uint8] | None = None
        self.origin = Path(found.origin).name
        self.calib = pixels_of(self.model, found.calib(calib))
        samples = found.eval_samples(limit)
        self.labels = np.array([sample.label for sample in samples])
        self.dev = pixels_of(self.model, samples)
        self.pictures = hashlib.sha256(self.calib.tobytes() + self.dev.tobytes()).hexdigest()
        self.fp_calib = float_logits(self.model, self.calib)
        self.fp_dev = float_logits(self.model, self.dev)

    def applies(self, row: Row) -> bool:
        """Whether the row changes something: weights of a class token need one."""
        return not row.class_token or getattr(self.model.module, "cls_token", None) is not None

    def facts(self) -> dict[str, Any]:
        """What the document says about model and pictures."""
        return {
            "model": self.model.spec.name,
            "weights": self.model.weights_source,
            "weights_sha256": self.model.weights_sha256,
            "data": self.origin,
            "calib": len(self.calib),
            "dev": len(self.dev),
            "fp_top1": 100 * float((self.fp_dev.argmax(1) == self.labels).mean()),
        }

    def _path(self, row: Row) -> Path:
        key = json.dumps(
            [row.options().to_dict(), self.facts(), self.pictures], sort_keys=True, default=str
        ).encode()
        return FOLDER / f"{row.slug}-{hashlib.sha256(key).hexdigest()[:10]}.json"

    def stored(self, row: Row) -> dict[str, Any] | None:
        """A row's figures if it has been run with the same options, model and pictures."""
        return _read(self._path(row))

    def subset(self, row: Row, seed: int) -> None:
        """Measure a row calibrated on a random half of the pictures, unless it is there."""
        path = self._subset_path(row, seed)
        if not self._fresh and _read(path) is not None:
            return
        half = max(1, len(self.calib) // 2)
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self.calib))[:half])
        logits = integer_logits(self._quantized(self.calib[chosen], row.options()), self.dev)
        found = {
            "sources": sources(),
            "pictures": half,
            "top1": 100 * float((logits.argmax(1) == self.labels).mean()),
            "agreement": _agreement(logits, self.fp_dev),
            "sqnr": sqnr(logits, self.fp_dev),
            "machine": machine()["processor"],
        }
        write_json(path, found)

    def subsets(self, row: Row) -> list[dict[str, Any]]:
        """What `subset` has measured of a row, by seed."""
        found: list[dict[str, Any]] = []
        while (one := _read(self._subset_path(row, len(found)))) is not None:
            found.append(one)
        return found

    def _subset_path(self, row: Row, seed: int) -> Path:
        whole = self._path(row)
        return whole.with_name(f"{whole.stem}-half{seed}.json")

    def _quantized(self, pixels: npt.NDArray[np.uint8], options: QuantOptions) -> ir.Graph:
        """The graph; what is learned is learned from the model's unlabelled pictures too."""
        if options.learn is None:
            return quantize_pixels(self.model, pixels, options)
        if self._more is None:
            self._more = pixels_of(self.model, more_pictures(self.model, None))
        return quantize_pixels(self.model, pixels, options, more=self._more, keep=KEPT)

    def row(self, row: Row) -> None:
        """Measure one row unless it is there."""
        if not self._fresh and self.stored(row) is not None:
            return
        options, start = row.options(), time.perf_counter()
        graph = self._quantized(self.calib, options)
        seconds = time.perf_counter() - start
        logits = integer_logits(graph, self.dev)
        folds = [self._fold(options, first) for first in (0, 1)] if len(self.calib) > 1 else []
        write_json(
            self._path(row),
            {
                "sources": sources(),
                "section": row.section,
                "name": row.name,
                "options": options.to_dict(),
                "top1": 100 * float((logits.argmax(1) == self.labels).mean()),
                "agreement": _agreement(logits, self.fp_dev),
                "sqnr": sqnr(logits, self.fp_dev),
                "fold_agreement": float(np.mean([f[0] for f in folds])) if folds else None,
                "fold_sqnr": float(np.mean([f[1] for f in folds])) if folds else None,
                "codes_off": codes_off(graph, self.dev[:CODE_PICTURES]),
                "quantize_seconds": round(seconds, 1),
            },
        )

    def _fold(self, options: QuantOptions, first: int) -> tuple[float, float]:
        """Calibrate on every other picture, score the rest: agreement and SQNR of the logits."""
        graph = self._quantized(self.calib[first::2], options)
        logits = integer_logits(graph, self.calib[1 - first :: 2])
        wanted = self.fp_calib[1 - first :: 2]
        return _agreement(logits, wanted), sqnr(logits, wanted)


def matrix_row(name: str, *, fresh: bool) -> None:
    """Quantize one model with every observer on its default pictures; logit SQNR of each."""
    path, model = _matrix_path(name), load_model(name)
    kept = _read(path)
    if not fresh and kept is not None and kept.get("weights_sha256") == model.weights_sha256:
        return
    pixels = pixels_of(model, open_dataset(None, model.spec).calib(2))
    wanted = float_logits(model, pixels)
    found: dict[str, Any] = {
        "weights": model.weights_source,
        "weights_sha256": model.weights_sha256,
        "sources": sources(),
    }
    for method in METHODS:
        graph = quantize_pixels(model, pixels, QuantOptions(method=method))
        found[method] = sqnr(integer_logits(graph, pixels), wanted)
    write_json(path, found)


def sources() -> str:
    """Digest of the quantizer's and the executor's sources."""
    return files_digest(SOURCES.rglob("*.py"), SOURCES)


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


def _agreement(logits: Floats, wanted: Floats) -> float:
    return 100 * float((logits.argmax(1) == wanted.argmax(1)).mean())


def _matrix_path(name: str) -> Path:
    return FOLDER / f"matrix-{name}.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
