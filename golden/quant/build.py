"""``quantize``: a float network and calibration pictures in, the integer graph out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from golden.data.pictures import Sample
from golden.graph import ir
from golden.models.load import LoadedModel
from golden.ops.gelu import Activation
from golden.quant.calibrate import Calibrator
from golden.quant.claims import kind_of
from golden.quant.learn.reconstruct import reconstruct
from golden.quant.learn.state import Saved, fingerprint
from golden.quant.learn.targets import Stage
from golden.quant.options import QuantOptions
from golden.quant.search.threads import one_thread
from golden.quant.swin.build import SwinNetwork
from golden.quant.swin.mapping import KIND as SWIN
from golden.quant.vit.build import VitNetwork
from golden.support.errors import PotvitError


@dataclass(frozen=True, kw_only=True)
class Start:
    """A calibrated graph, the real weights behind its integers, what its tables hold."""

    graph: ir.Graph
    wanted: dict[str, npt.NDArray[np.float64]]
    function: Activation


class Network(Protocol):
    """What a family makes of a float module: it was read completely and compared.

    ``layers`` are the names that a bit-width map can match, ``all_tokens`` says that no class
    token is read out alone, ``activation`` is what the hidden layers' tables hold, ``quantize``
    appends all nodes and names the result's edge.
    """

    layers: list[str]
    all_tokens: bool
    activation: Activation

    def quantize(self, cal: Calibrator, pixels: npt.NDArray[np.uint8], title: str) -> str:
        """Append the network's nodes to ``cal``."""
        ...

    def float_stages(self, class_weight: float, read_weight: float) -> list[Stage]:
        """The pieces of the float network that learned rounding compares with."""
        ...


def quantize(
    model: LoadedModel,
    samples: Sequence[Sample],
    options: QuantOptions | None = None,
    *,
    more: Sequence[Sample] = (),
    keep: Path | None = None,
    quiet: bool = True,
) -> ir.Graph:
    """Return the exact integer graph of a timm ViT or Swin, calibrated on ``samples``.

    Where rounding is learned, it is learned from ``samples`` and ``more``, and each finished stage
    is kept in a folder below ``keep``, from which an interrupted run goes on. Labels are not
    looked at. The same model, pictures and options give the same graph whatever
    the number of threads. ``quiet=False`` shows a progress bar on a terminal.

    Raises:
        PotvitError: no calibration picture, an unreadable one, or a bit map that matches nothing.
    """
    options = options or QuantOptions()
    if not samples:
        raise PotvitError("quantizing needs at least one calibration picture")
    pixels = np.stack([sample.pixels(model.spec.preprocess) for sample in samples])
    others = None
    if options.learn is not None and more:
        others = np.stack([sample.pixels(model.spec.preprocess) for sample in more])
    graph = quantize_pixels(model, pixels, options, more=others, keep=keep, quiet=quiet)
    meta = {**graph.meta, "calibration": [sample.name for sample in samples]}
    if others is not None:
        meta["learned_from_also"] = [sample.name for sample in more]
    return replace(graph, meta=meta)


def quantize_pixels(
    model: LoadedModel,
    pixels: npt.NDArray[np.uint8],
    options: QuantOptions,
    *,
    more: npt.NDArray[np.uint8] | None = None,
    keep: Path | None = None,
    quiet: bool = True,
) -> ir.Graph:
    """``quantize`` from decoded pixels, uint8 [N, H, W, C]."""
    network, options = _family(model, options)
    if options.learn is not None and "head" not in network.layers:
        raise PotvitError(f"learned rounding compares logits: {model.spec.name} has no classifier")
    graph, wanted = _calibrated(network, model, pixels, options, quiet)
    preprocess = model.spec.preprocess
    if options.learn is None:
        return graph
    if more is not None:
        pixels = np.concatenate([pixels, more])
    saved = Saved(keep / fingerprint(graph, pixels, asdict(options)) if keep else None)
    stages = network.float_stages(options.class_weight, options.read_weight)
    return reconstruct(graph, stages, preprocess, pixels, wanted, options.learn, saved, quiet=quiet)


def starting_point(
    model: LoadedModel,
    pixels: npt.NDArray[np.uint8],
    options: QuantOptions,
    *,
    quiet: bool = True,
) -> Start:
    """Where training begins: a network calibrated on ``pixels``, uint8 [N, H, W, C].

    Raises:
        PotvitError: a network without a classifier, or a bit map that it cannot follow.
    """
    network, options = _family(model, options)
    if "head" not in network.layers:
        raise PotvitError(f"training compares logits: {model.spec.name} has no classifier")
    graph, wanted = _calibrated(network, model, pixels, options, quiet)
    return Start(graph=graph, wanted=wanted, function=network.activation)


def _family(model: LoadedModel, options: QuantOptions) -> tuple[Network, QuantOptions]:
    """The model read by its family, and the options as that needs them."""
    family = SwinNetwork if kind_of(model.module) == SWIN else VitNetwork
    network: Network = family(model.module, model.spec.preprocess)
    options.bits.check(network.layers)
    if network.all_tokens:
        # Every token is read out: the first one counts like the others.
        options = replace(options, class_weight=1.0, read_weight=1.0)
    return network, options


def _calibrated(
    network: Network,
    model: LoadedModel,
    pixels: npt.NDArray[np.uint8],
    options: QuantOptions,
    quiet: bool,
) -> tuple[ir.Graph, dict[str, npt.NDArray[np.float64]]]:
    """The graph before anything is learned, and the real weights behind its integers."""
    with torch.no_grad(), one_thread():
        cal = Calibrator(pixels, options)
        output = network.quantize(cal, pixels, "" if quiet else "quantizing")
    graph = ir.Graph(
        tensors=cal.tensors,
        nodes=tuple(cal.nodes),
        input="image",
        output=output,
        meta={
            "model": model.spec.name,
            "weights": model.weights_source,
            "weights_sha256": model.weights_sha256,
            "bits": options.bits.name,
            "attn": options.attn,
            "options": options.to_dict(),
            "preprocess": model.spec.preprocess.to_dict(),
        },
    )
    return graph, cal.wanted
