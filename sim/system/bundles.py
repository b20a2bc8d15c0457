"""The integer network that a simulation runs: exported once, found again by what made it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from golden.catalogue.preprocess import Preprocess
from golden.data.datasets import Dataset, default_dataset, open_dataset
from golden.data.pictures import Sample
from golden.graph import ir
from golden.graph.bundle import load_bundle, save_bundle
from golden.models.load import LoadedModel, find_model, load_found
from golden.models.request import ModelRequest
from golden.quant import QuantOptions, bit_map, quantize
from golden.support.errors import PotvitError
from golden.support.kept import files_digest, say_broken
from golden.support.locations import BUILD
from golden.support.progress import progress

FOLDER = BUILD / "bundles"
SOURCES = Path(__file__).parents[2] / "golden"
#: What can change a quantized network's numbers: arithmetic, the float model, decoding.
LIBRARIES = ("torch", "numpy", "scipy", "timm", "pillow", "scikit-learn", "mpmath")


@dataclass(frozen=True, kw_only=True)
class Network:
    """A quantized model with its float original and the pictures at hand."""

    graph: ir.Graph
    model: LoadedModel
    data: Dataset
    folder: Path


def network(
    model: str | ModelRequest,
    bits: str,
    attn: str,
    weights: Path | None = None,
    data: str | None = None,
) -> Network:
    """Quantize a model with the default options, or load what an earlier call left.

    ``model`` is a request, or a name (with ``weights``) of which nothing else is said.
    ``data`` is what `open_dataset` takes; None for the model's own (`default_dataset`).

    The bundle's folder name carries a digest of weights, options, the calibration pictures' pixels,
    the quantizer's sources and the libraries it calculates with, so that a stale one is never used;
    a broken one is made again and standard error says so; concurrent callers wait for one another.
    Raises ``PotvitError`` as the parts do.
    """
    if isinstance(model, str):
        model = ModelRequest(model=model, weights=weights)
    loaded = load_found(find_model(model))
    spec = loaded.spec
    found = default_dataset(spec) if data is None else open_dataset(data, spec)
    options = QuantOptions(bits=bit_map(bits), attn=attn)
    samples = found.calib(None)
    material = (
        loaded.weights_sha256, spec, options.to_dict(), found.origin, [s.name for s in samples],
        _pixels_digest(samples, spec.preprocess),
        files_digest(SOURCES.rglob("*.py"), SOURCES), [version(library) for library in LIBRARIES],
    )  # fmt: skip
    digest = hashlib.sha256(repr(material).encode()).hexdigest()
    folder = FOLDER / f"{spec.name}-{options.bits.name}-{attn}-{digest[:12]}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER / f".{folder.name}.lock"):
        graph = _kept(folder)
        if graph is None:
            graph = quantize(loaded, samples, options, quiet=False)
            save_bundle(graph, folder)
    return Network(graph=graph, model=loaded, data=found, folder=folder)


def _pixels_digest(samples: Sequence[Sample], preprocess: Preprocess) -> str:
    """Digest of what the quantizer sees of ``samples``: names alone would hide a new picture."""
    digest = hashlib.sha256()
    for sample in progress(samples, "calibration pictures"):
        pixels = sample.pixels(preprocess)
        digest.update(repr(pixels.shape).encode() + pixels.tobytes())
    return digest.hexdigest()


def _kept(folder: Path) -> ir.Graph | None:
    """The bundle in ``folder``; None if there is none, after removing what is broken."""
    if not folder.exists():
        return None
    try:
        return load_bundle(folder)
    except PotvitError as error:
        say_broken(f"kept bundle {folder} ({error})")
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        return None
