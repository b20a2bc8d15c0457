"""A timm SwinTransformer as calibrated integer nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from golden.catalogue.preprocess import Preprocess
from golden.graph import ir
from golden.ops.pool import POOL_SHIFT_MAX
from golden.quant.calibrate import Calibrator
from golden.quant.learn.targets import Stage
from golden.quant.swin.fidelity import require_same
from golden.quant.swin.float_model import FloatSwin
from golden.quant.swin.float_stages import float_stages
from golden.quant.swin.mapping import map_swin
from golden.quant.swin.parameters import Swin
from golden.quant.vit import embedding, stages
from golden.quant.vit.blocks import LAYERS, block, classifier, smoothed
from golden.support.progress import progress


class SwinNetwork:
    """A Swin that was read and compared with its module; `quantize` appends its nodes.

    Attributes:
        layers: the names that a bit-width map can match, in execution order.
        all_tokens: True, the mean of all tokens is read out.
        activation: the function of the hidden layers.
    """

    all_tokens = True

    def __init__(self, module: Any, preprocess: Preprocess) -> None:
        self._swin, self._preprocess = map_swin(module), preprocess
        require_same(self._swin, module, preprocess)
        self.activation = self._swin.blocks[0].activation
        self.layers = ["patch_embed"]
        for i in range(len(self._swin.blocks)):
            if i in self._swin.mergings:
                self.layers.append(f"blocks.{i}.reduction")
            self.layers += [f"blocks.{i}.{part}" for part in LAYERS]
        self.layers.append("head")

    def quantize(self, cal: Calibrator, pixels: npt.NDArray[np.uint8], title: str) -> str:
        """Append the whole network; the name of its result. ``title`` names a progress bar."""
        swin = self._swin
        floats = FloatSwin(swin, self._preprocess, pixels)
        stream = _embed(cal, swin, self._preprocess, floats)
        for number in progress(range(len(swin.blocks)), title):
            if number in swin.mergings:
                stream = _merge(cal, floats, number, stream)
            stream = block(cal, floats, number, stream, 1.0)
        norm, _ = stages.layer_norm(cal, "norm", stream, swin.norm)
        cal.drop(stream)
        pool = _pool(cal, norm, swin.tokens)
        classifier(cal, pool, swin.summed_head(), floats.logits())
        return ir.LOGITS

    def float_stages(self, class_weight: float, read_weight: float) -> list[Stage]:
        """The stages of learned rounding; no token counts more than others."""
        return float_stages(self._swin)


def _embed(cal: Calibrator, swin: Swin, preprocess: Preprocess, floats: FloatSwin) -> str:
    """Patch embedding with its bias, and the LayerNorm whose output is the stream."""
    linear = embedding.patch_layer(cal, swin.embed, preprocess, floats.patches)
    node = embedding.patch_node(linear, swin.patch, prefix=0, bias=linear.bias)
    acc = cal.add(node, linear.weight_exp, wire=True)
    embed = stages.residual(cal, "embed", acc, None)
    return stages.stream_norm(cal, "embed.norm", embed, swin.stream)


def _merge(cal: Calibrator, floats: FloatSwin, number: int, stream: str) -> str:
    """Four neighbours side by side, their LayerNorm, and the layer that begins a stream."""
    prefix, merging = f"blocks.{number}", floats.swin.mergings[number]
    node = ir.Merge(
        name=f"{prefix}.merge", inputs=(stream,), output=f"{prefix}.merge", merge=merging.order
    )
    merged = cal.add(node, np.tile(cal.exponent(stream), 4))
    cal.drop(stream)
    layer, name = merging.reduction.parameters(), f"{prefix}.reduction"
    ln0, smooth = stages.layer_norm(
        cal, f"{prefix}.ln0", merged, merging.norm, layer.weight, cal.options.bits.widths(name)
    )
    cal.drop(merged)
    target = floats.merge(number)
    linear = cal.accumulator(name, ln0, smoothed(layer, smooth), target, output=f"{name}.acc")
    exps = cal.exponent(ln0) + linear.weight_exp
    acc = cal.add(linear, exps, wire=True)
    cal.drop(ln0)
    return stages.residual(cal, f"{prefix}.res0", acc, None)


def _pool(cal: Calibrator, norm: str, tokens: int) -> str:
    """The tokens' sum at the exponent that suits it, as fine as the shifter array can add."""
    exponent = int(cal.exponent(norm)[0])
    sums = cal.values[norm].sum(1, keepdim=True)
    found = int(cal.observe(cal.real(sums, exponent))[0]) - exponent
    shift = min(max(found, tokens.bit_length() - 2, 0), POOL_SHIFT_MAX)
    node = ir.Pool(name="pool", inputs=(norm,), output="pool", shift=shift)
    cal.add(node, exponent + shift)
    cal.drop(norm)
    return "pool"
