"""Rows of the accuracy study: quantized, measured, and kept by options, weights and pictures."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from golden.data.datasets import default_data, open_dataset
from golden.evaluation.measures import (
    agreement,
    codes_off,
    float_logits,
    integer_logits,
    pixels_of,
    sqnr,
)
from golden.evaluation.study_rows import Row
from golden.graph import ir
from golden.models.load import load_model
from golden.quant import QuantOptions, quantize_pixels
from golden.quant.learn.defaults import FOLDER as KEPT
from golden.quant.learn.defaults import more_pictures
from golden.quant.search.observers import METHODS
from golden.support.kept import files_digest
from golden.support.locations import BUILD
from golden.support.machine import machine
from golden.support.report_file import write_json

FOLDER = BUILD / "study"
SOURCES = Path(__file__).parents[1]
#: Pictures that codes are compared with exact exponentials on.
CODE_PICTURES = 2


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
            "agreement": agreement(logits, self.fp_dev),
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
                "agreement": agreement(logits, self.fp_dev),
                "sqnr": sqnr(logits, self.fp_dev),
                "fold_agreement": float(np.mean([f[0] for f in folds])) if folds else None,
                "fold_sqnr": float(np.mean([f[1] for f in folds])) if folds else None,
                "codes_off": codes_off(graph, self.dev[:CODE_PICTURES]),
                "quantize_seconds": round(seconds, 1),
                "machine": machine()["processor"],
            },
        )

    def _fold(self, options: QuantOptions, first: int) -> tuple[float, float]:
        """Calibrate on every other picture, score the rest: agreement and SQNR of the logits."""
        graph = self._quantized(self.calib[first::2], options)
        logits = integer_logits(graph, self.calib[1 - first :: 2])
        wanted = self.fp_calib[1 - first :: 2]
        return agreement(logits, wanted), sqnr(logits, wanted)


def matrix_row(name: str, *, fresh: bool) -> None:
    """Quantize one model with every observer on its default pictures; logit SQNR of each."""
    path, model = _matrix_path(name), load_model(name)
    kept = stored_matrix(name)
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


def stored_matrix(name: str) -> dict[str, Any] | None:
    """What `matrix_row` has kept of a model."""
    return _read(_matrix_path(name))


def _matrix_path(name: str) -> Path:
    return FOLDER / f"matrix-{name}.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
