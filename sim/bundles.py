"""The integer network that a simulation runs: exported once, found again by what made it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from golden import ir
from golden.bundle import load_bundle, save_bundle
from golden.data import Dataset, default_data, open_dataset
from golden.models import LoadedModel, load_model
from golden.quant import QuantOptions, bit_map, quantize

FOLDER = Path("build/bundles")
SOURCES = Path(__file__).parent.parent / "golden"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A quantized model with its float original and the pictures at hand."""

    graph: ir.Graph
    model: LoadedModel
    data: Dataset
    folder: Path


def network(name: str, bits: str, attn: str, weights: Path | None = None) -> Network:
    """Quantize ``name`` with the default options, or load what an earlier call left.

    The bundle's folder name carries a digest of weights, options, calibration pictures and the
    quantizer's sources, so that a stale one is never used; concurrent callers wait for one
    another. Raises ``PotvitError`` as the parts do.
    """
    model = load_model(name, weights)
    data = open_dataset(default_data(model.spec), model.spec)
    options = QuantOptions(bits=bit_map(bits), attn=attn)
    samples = data.calib(None)
    digest = hashlib.sha256(repr((model.weights_sha256, options.to_dict())).encode())
    digest.update(repr((data.origin, [s.name for s in samples])).encode())
    for source in sorted(SOURCES.rglob("*.py")):
        digest.update(source.read_bytes())
    folder = FOLDER / f"{name}-{options.bits.name}-{attn}-{digest.hexdigest()[:12]}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER / f".{folder.name}.lock"):
        if (folder / "manifest.json").exists():
            graph = load_bundle(folder)
        else:
            graph = quantize(model, samples, options, quiet=False)
            save_bundle(graph, folder)
    return Network(graph=graph, model=model, data=data, folder=folder)
