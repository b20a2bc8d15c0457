"""``quantize``: a float ViT and calibration pictures in, the integer graph out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from golden.data.pictures import Sample
from golden.graph import ir
from golden.models.load import LoadedModel
from golden.quant.calibrate import Calibrator, ints
from golden.quant.learn.reconstruct import reconstruct
from golden.quant.learn.state import Saved, fingerprint
from golden.quant.options import QuantOptions
from golden.quant.search.linear import LinearParameters
from golden.quant.search.threads import one_thread
from golden.quant.vit import stages
from golden.quant.vit.attention import attention
from golden.quant.vit.fidelity import require_same
from golden.quant.vit.float_model import FloatModel
from golden.quant.vit.float_stages import float_stages
from golden.quant.vit.mapping import map_vit
from golden.quant.vit.parameters import Vit
from golden.support.errors import PotvitError
from golden.support.progress import progress


def layer_names(vit: Vit) -> list[str]:
    """Return the names that a bit-width map can match, in execution order."""
    parts = ("q", "k", "v", "proj", "fc1", "fc2")
    blocks = [f"blocks.{i}.{part}" for i in range(len(vit.blocks)) for part in parts]
    return ["patch_embed", *blocks, *(["head"] if vit.head else [])]


def quantize(
    model: LoadedModel,
    samples: Sequence[Sample],
    options: QuantOptions | None = None,
    *,
    more: Sequence[Sample] = (),
    keep: Path | None = None,
    quiet: bool = True,
) -> ir.Graph:
    """Return the exact integer graph of a timm ViT, calibrated on ``samples``.

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
    vit = map_vit(model.module)
    require_same(vit, model.module, model.spec.preprocess)
    options.bits.check(layer_names(vit))
    if vit.token is None:
        # Every token is read out: the class token counts like the others.
        options = replace(options, class_weight=1.0, read_weight=1.0)
    if options.learn is not None and vit.head is None:
        raise PotvitError(f"learned rounding compares logits: {model.spec.name} has no classifier")
    graph, wanted = _calibrated(model, vit, pixels, options, quiet)
    if options.learn is None:
        return graph
    if more is not None:
        pixels = np.concatenate([pixels, more])
    saved = Saved(keep / fingerprint(graph, pixels, asdict(options)) if keep else None)
    stages = float_stages(vit, model.module.blocks, options.class_weight, options.read_weight)
    return reconstruct(
        graph,
        stages,
        model.spec.preprocess,
        pixels,
        wanted,
        options.learn,
        saved,
        quiet=quiet,
    )


def _calibrated(
    model: LoadedModel,
    vit: Vit,
    pixels: npt.NDArray[np.uint8],
    options: QuantOptions,
    quiet: bool,
) -> tuple[ir.Graph, dict[str, npt.NDArray[np.float64]]]:
    """The graph before anything is learned, and the real weights behind its integers."""
    preprocess = model.spec.preprocess
    with torch.no_grad(), one_thread():
        floats = FloatModel(vit, preprocess, pixels)
        cal = Calibrator(pixels, options)
        stream = stages.embed(cal, vit, preprocess, floats.patches)
        for block in progress(range(len(vit.blocks)), "" if quiet else "quantizing"):
            stream = _block(cal, floats, block, stream)
        output = _readout(cal, floats, stream)
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


def _block(cal: Calibrator, floats: FloatModel, block: int, stream: str) -> str:
    """One transformer block from residual to residual."""
    part, prefix = floats.vit.blocks[block], f"blocks.{block}"
    last = block == len(floats.vit.blocks) - 1
    read = cal.options.read_weight if last else cal.options.class_weight
    qkv = part.qkv.parameters()
    bits = cal.options.bits.bits
    ln1, smooth = stages.layer_norm(
        cal, f"{prefix}.ln1", stream, part.norm1, qkv.weight, bits(f"{prefix}.v")
    )
    targets = floats.qkv(block)
    layer = smoothed(qkv, smooth)
    attn, shift, scale = attention(cal, prefix, ln1, layer, targets, part.heads, read)
    proj = part.proj.parameters()
    proj = LinearParameters(weight=proj.weight / scale, bias=proj.bias + proj.weight @ shift)
    target = floats.attend(block, *targets)
    del targets
    with cal.weighing(read):
        stream = _into_stream(
            cal, floats, f"{prefix}.proj", attn, proj, target, stream, f"{prefix}.res1"
        )
        return _feed_forward(cal, floats, block, stream)


def _feed_forward(cal: Calibrator, floats: FloatModel, block: int, stream: str) -> str:
    """LN2, fc1, GELU and fc2 of a block."""
    part, prefix = floats.vit.blocks[block], f"blocks.{block}"
    fc1 = part.fc1.parameters()
    ln2, smooth = stages.layer_norm(
        cal, f"{prefix}.ln2", stream, part.norm2, fc1.weight, cal.options.bits.bits(f"{prefix}.fc1")
    )
    target = floats.hidden(block)
    function = part.activation
    hidden = stages.mlp_hidden(cal, f"{prefix}.fc1", ln2, smoothed(fc1, smooth), target, function)
    cal.drop(ln2)
    gelu, zero = stages.activation(cal, f"{prefix}.gelu", hidden, function)
    target = floats.feed_forward(block, target)
    return _into_stream(
        cal,
        floats,
        f"{prefix}.fc2",
        gelu,
        part.fc2.parameters(),
        target,
        stream,
        f"{prefix}.res2",
        zero,
    )


def smoothed(layer: LinearParameters, smooth: npt.NDArray[np.int64]) -> LinearParameters:
    """Multiply the columns by the factors ``2**smooth`` that LayerNorm divided by."""
    return LinearParameters(weight=np.ldexp(layer.weight, smooth), bias=layer.bias)


def _into_stream(
    cal: Calibrator,
    floats: FloatModel,
    name: str,
    source: str,
    layer: LinearParameters,
    target: torch.Tensor,
    stream: str,
    output: str,
    zero: int = 0,
) -> str:
    """A layer whose accumulator goes straight to the residual adder."""
    if cal.options.stream_target:
        unit = torch.from_numpy(2.0 ** cal.exponent(stream).astype(np.float64)).float()
        target = floats.stream - cal.values[stream].float() * unit
    node = cal.accumulator(name, source, layer, target, output=f"{name}.acc", zero=zero)
    exps = cal.exponent(source) + node.weight_exp
    cal.add(node, exps, wire=True)
    cal.drop(source)
    return stages.residual(cal, output, node.output, stream)


def _readout(cal: Calibrator, floats: FloatModel, stream: str) -> str:
    """Final LayerNorm of the selected token or of all, and the classifier if there is one."""
    vit = floats.vit
    if vit.token is not None:
        select = ir.Select(name="select", inputs=(stream,), output="select", index=vit.token)
        stream = cal.add(select, cal.exponent(stream))
    output = ir.FEATURES if vit.head is None else "norm"
    norm, _ = stages.layer_norm(cal, "norm", stream, vit.norm, None, 8, output=output)
    if vit.head is None:
        return norm
    _head(cal, norm, vit.head.parameters(), floats.logits())
    return ir.LOGITS


def _head(cal: Calibrator, source: str, layer: LinearParameters, target: torch.Tensor) -> None:
    """Classifier: logits aligned to the finest channel's exponent, int32 proven."""
    # Products take the low bits of an int32 logit; the rest is room for the alignment.
    span = 29 - (128 * 128 * layer.weight.shape[1]).bit_length()
    node = cal.accumulator("head", source, layer, target[:, None], span=span)
    align = node.weight_exp - node.weight_exp.min()
    head = ir.Head(
        name="head",
        inputs=(source,),
        output="logits",
        weight=node.weight,
        bias=node.bias,
        weight_exp=node.weight_exp,
        la=ints(align),
        bits=node.bits,
    )
    exponent = int(cal.exponent(source)[0] + node.weight_exp.min())
    cal.add(head, exponent)
