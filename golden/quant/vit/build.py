"""A timm VisionTransformer as calibrated integer nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from golden.catalogue.preprocess import Preprocess
from golden.graph import ir
from golden.quant.calibrate import Calibrator
from golden.quant.learn.targets import Stage
from golden.quant.vit import embedding, stages
from golden.quant.vit.blocks import LAYERS, block, classifier
from golden.quant.vit.fidelity import require_same
from golden.quant.vit.float_model import FloatModel
from golden.quant.vit.float_stages import float_stages
from golden.quant.vit.mapping import map_vit
from golden.support.progress import progress


class VitNetwork:
    """A ViT that was read and compared with its module; `quantize` appends its nodes.

    Attributes:
        layers: the names that a bit-width map can match, in execution order.
        all_tokens: whether every token is read out, not the class token alone.
        activation: the function of the hidden layers.
    """

    def __init__(self, module: Any, preprocess: Preprocess) -> None:
        self._vit, self._preprocess = map_vit(module), preprocess
        self._blocks = module.blocks
        require_same(self._vit, module, preprocess)
        self.layers = layer_names(len(self._vit.blocks), classifier=self._vit.head is not None)
        self.all_tokens = self._vit.token is None
        self.activation = self._vit.blocks[0].activation

    def quantize(self, cal: Calibrator, pixels: npt.NDArray[np.uint8], title: str) -> str:
        """Append the whole network; the name of its result. ``title`` names a progress bar."""
        vit, options = self._vit, cal.options
        floats = FloatModel(vit, self._preprocess, pixels)
        stream = embedding.embed(cal, vit, self._preprocess, floats.patches)
        last = len(vit.blocks) - 1
        for number in progress(range(len(vit.blocks)), title):
            read = options.read_weight if number == last else options.class_weight
            stream = block(cal, floats, number, stream, read)
        return _readout(cal, floats, stream)

    def float_stages(self, class_weight: float, read_weight: float) -> list[Stage]:
        """The stages of learned rounding: see `golden.quant.vit.float_stages`."""
        return float_stages(self._vit, self._blocks, class_weight, read_weight)


def layer_names(depth: int, *, classifier: bool = True) -> list[str]:
    """Return the names that a bit-width map can match, in execution order."""
    blocks = [f"blocks.{i}.{part}" for i in range(depth) for part in LAYERS]
    return ["patch_embed", *blocks, *(["head"] if classifier else [])]


def _readout(cal: Calibrator, floats: FloatModel, stream: str) -> str:
    """Final LayerNorm of the selected token or of all, and the classifier if there is one."""
    vit = floats.vit
    if vit.token is not None:
        select = ir.Select(name="select", inputs=(stream,), output="select", index=vit.token)
        stream = cal.add(select, cal.exponent(stream))
    output = ir.FEATURES if vit.head is None else "norm"
    norm, _ = stages.layer_norm(cal, "norm", stream, vit.norm, output=output)
    if vit.head is None:
        return norm
    classifier(cal, norm, vit.head.parameters(), floats.logits())
    return ir.LOGITS
