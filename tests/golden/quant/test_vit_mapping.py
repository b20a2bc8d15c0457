"""Every part of a float network is mapped, folded or refused by its name; nothing is dropped."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from golden.catalogue.models import ModelSpec
from golden.catalogue.preprocess import Preprocess
from golden.catalogue.torchvision_shim import ensure_torchvision
from golden.data.pictures import sample_photos
from golden.evaluation.ledger import ledger
from golden.execute.batched import Executor
from golden.execute.reference import run_reference
from golden.graph import ir
from golden.models.load import LoadedModel
from golden.models.random_weights import randomize
from golden.ops.gelu import Activation
from golden.quant import QuantOptions, quantize_pixels
from golden.quant.vit.fidelity import TOLERANCE, difference, forward, require_same
from golden.quant.vit.mapping import map_vit
from golden.support.errors import PotvitError

ensure_torchvision()
from timm.layers import GluMlp, RmsNorm, SwiGLU  # noqa: E402
from timm.models.deit import VisionTransformerDistilled  # noqa: E402
from timm.models.vision_transformer import (  # noqa: E402
    DiffAttention,
    ParallelScalingBlock,
    ParallelThingsBlock,
    ResPostBlock,
    VisionTransformer,
)

PREPROCESS = Preprocess(size=32, crop_pct=1.0, mean=(0.5,) * 3, std=(0.25,) * 3)
SMALL = {
    "img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 7,
}  # fmt: skip


def small(cls=VisionTransformer, **changes):
    """A small network of random weights in evaluation mode."""
    module = cls(**(SMALL | changes)).eval().requires_grad_(False)
    if module.patch_embed.img_size == (32, 32):
        randomize(module, PREPROCESS, 0)
    return module


def load(module):
    spec = ModelSpec(name="small", timm_name="small", preprocess=PREPROCESS, num_classes=7)
    return LoadedModel(module=module, spec=spec, weights_source="test", weights_sha256="0")


#: What has an integer form, each with something that a reader could overlook.
MAPPED = {
    "plain": {},
    "LayerScale": {"init_values": 0.1},
    "no qkv bias": {"qkv_bias": False},
    "no biases in proj and MLP": {"proj_bias": False},
    "register tokens": {"reg_tokens": 3},
    "register tokens without positions": {"reg_tokens": 3, "no_embed_class": True},
    "no position for the class token": {"no_embed_class": True},
    "no positions": {"pos_embed": "none"},
    "any picture size": {"dynamic_img_size": True},
    "any picture size, padded": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "norm behind pooling": {"fc_norm": True},
    "ReLU": {"act_layer": nn.ReLU},
    "GELU by tanh": {"act_layer": partial(nn.GELU, approximate="tanh")},
    "timm's GELU by tanh": {"act_layer": "gelu_tanh"},
    "quick GELU": {"act_layer": "quick_gelu"},
    "SiLU": {"act_layer": nn.SiLU},
    "torch's LayerNorm": {"norm_layer": nn.LayerNorm},
    "LayerNorm without parameters": {"norm_layer": partial(nn.LayerNorm, elementwise_affine=False)},
    "wider MLP": {"mlp_ratio": 3},
    "dropout": {"drop_rate": 0.5, "attn_drop_rate": 0.5, "drop_path_rate": 0.5,
                "proj_drop_rate": 0.5, "pos_drop_rate": 0.5, "patch_drop_rate": 0.5},
    "class features": {"num_classes": 0},
    "all features": {"num_classes": 0, "global_pool": ""},
    "patch features alone": {"num_classes": 0, "global_pool": "", "class_token": False},
    "registers alone": {"num_classes": 0, "global_pool": "", "class_token": False, "reg_tokens": 2},
    "one class": {"num_classes": 1},
}  # fmt: skip


@pytest.mark.parametrize("changes", MAPPED.values(), ids=MAPPED)
def test_mapped_networks_are_the_same_and_quantize(changes):
    module = small(**changes)
    vit = map_vit(module)
    require_same(vit, module, PREPROCESS)
    pixels = np.stack([s.pixels(PREPROCESS) for s in sample_photos()])
    with torch.inference_mode():
        images = PREPROCESS.normalize(pixels)
        wanted = module(images).reshape(2, -1)
        assert difference(wanted, forward(vit, images, eps=True)) < 1e-5
    graph = quantize_pixels(load(module), pixels, QuantOptions(attn="half"))
    executor = Executor(graph)
    got = executor.trace(pixels, [graph.output])[graph.output]
    assert np.array_equal(got[0], run_reference(graph, pixels[0])[graph.output])
    assert graph.output == ("logits" if changes.get("num_classes", 7) else "features")
    entries = {e["tensor"]: e["sqnr_db"] for e in ledger(load(module), executor, pixels)}
    assert entries[graph.output] > 8, entries
    assert set(entries) >= {"embed", "blocks.0.gelu", "blocks.1.res2"}


#: What has none: the network, and words that the refusal must hold.
REFUSED = {
    "average pooling": ({"global_pool": "avg"}, "global_pool='avg'"),
    "average pooling, norm in front": ({"global_pool": "avg", "fc_norm": False}, "global_pool"),
    "maximum": ({"global_pool": "max"}, "global_pool='max'"),
    "attention pooling": ({"global_pool": "map"}, "global_pool='map'"),
    "logits of every token": ({"global_pool": ""}, "global_pool=''"),
    "norm in front": ({"pre_norm": True}, "norm_pre (LayerNorm)"),
    "no final norm": ({"final_norm": False}, "norm is missing"),
    "norm on queries": ({"qk_norm": True}, "blocks.0.attn.q_norm (LayerNorm)"),
    "norm behind attention": ({"scale_attn_norm": True}, "blocks.0.attn.norm (LayerNorm)"),
    "norm in the MLP": ({"scale_mlp_norm": True}, "blocks.0.mlp.norm (LayerNorm)"),
    "norm behind the patches": ({"embed_norm_layer": "layernorm"}, "patch_embed.norm (LayerNorm)"),
    "gated MLP": ({"mlp_layer": SwiGLU}, "blocks.0.mlp (SwiGLU)"),
    "another gated MLP": ({"mlp_layer": GluMlp}, "blocks.0.mlp (GluMlp)"),
    "another norm": ({"norm_layer": RmsNorm}, "blocks.0.norm1 (RmsNorm)"),
    "another activation": ({"act_layer": nn.Mish}, "blocks.0.mlp.act (Mish)"),
    "parallel block": ({"block_fn": ParallelScalingBlock}, "blocks.0 (ParallelScalingBlock)"),
    "two branches": ({"block_fn": ParallelThingsBlock}, "blocks.0 (ParallelThingsBlock)"),
    "norm behind the branch": ({"block_fn": ResPostBlock}, "blocks.0 (ResPostBlock)"),
    "difference of attentions": ({"attn_layer": DiffAttention}, "blocks.0.attn (DiffAttention)"),
    "oblong patches": ({"patch_size": (8, 4)}, "not square"),
    "oblong picture": ({"img_size": (32, 16)}, "not square"),
    "cut patches": ({"img_size": 36}, "whole patches of 8"),
    "eps that matters": ({"norm_layer": partial(nn.LayerNorm, eps=0.3)}, "eps of 0.3"),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED)
def test_other_networks_are_refused_by_name(changes, words):
    model = load(small(**changes))
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    with pytest.raises(PotvitError) as refusal:
        quantize_pixels(model, pixels, QuantOptions())
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


class Doubled(nn.Module):
    """Hides behind a name of torch's."""

    def forward(self, x):
        return 2 * x


def changed(how):
    """A plain network that somebody changed by hand."""
    module = small()
    if how == "parameter":
        module.register_parameter("prompt", nn.Parameter(torch.zeros(1, 4, 32)))
    elif how == "buffer":
        module.blocks[1].register_buffer("bias_table", torch.zeros(3))
    elif how == "module":
        module.blocks[1].adapter = nn.Linear(32, 32)
    elif how == "no parameters":
        module.blocks[1].extra = Doubled()
    elif how == "identity":
        module.blocks[0].drop_path1 = Doubled()
    elif how == "linear":
        module.blocks[0].attn.proj = nn.utils.parametrizations.weight_norm(nn.Linear(32, 32))
    elif how == "forward":
        module.blocks[1].forward = lambda x: 1.01 * x
    elif how == "hook":
        module.blocks[0].register_forward_hook(lambda _m, _i, out: out.roll(1, -1))
    elif how == "subclass":
        module = small(type("Mine", (VisionTransformer,), {"__module__": "mine"}))
    elif how == "distilled":
        module = small(VisionTransformerDistilled)
    return module


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("parameter", "prompt has no integer form"),
        ("buffer", "blocks.1.bias_table has no integer form"),
        ("module", "blocks.1.adapter"),
        ("no parameters", "blocks.1.extra"),
        ("identity", "blocks.0.drop_path1"),
        ("linear", "blocks.0.attn.proj (ParametrizedLinear)"),
        ("forward", "another forward pass"),
        ("hook", "another forward pass"),
        ("subclass", "mine.Mine cannot be quantized"),
        ("distilled", "VisionTransformerDistilled cannot be quantized"),
    ],
)
def test_changes_by_hand_are_refused_by_name(how, words):
    model = load(changed(how))
    with pytest.raises(PotvitError) as refusal:
        quantize_pixels(model, np.zeros((1, 32, 32, 3), np.uint8), QuantOptions())
    assert words in str(refusal.value)


def test_layer_scale_folds_exactly():
    module = small(init_values=1.0)
    layer = map_vit(module).blocks[1].fc2
    folded = layer.parameters()
    scale = module.blocks[1].ls2.gamma.double().numpy()
    assert len(set(scale)) == 32
    weight = module.blocks[1].mlp.fc2.weight.double().numpy()
    # Products of float32 are exact in float64, so dividing them gives the factor back exactly.
    assert np.array_equal(folded.weight / weight, np.broadcast_to(scale[:, None], weight.shape))
    assert np.array_equal(folded.bias, module.blocks[1].mlp.fc2.bias.double().numpy() * scale)


def test_a_fold_that_is_forgotten_shows(monkeypatch):
    module = small(init_values=1.0)
    vit = map_vit(module)
    for block in vit.blocks:
        object.__setattr__(block.proj, "scale", None)
    with pytest.raises(PotvitError, match="another forward pass"):
        require_same(vit, module, PREPROCESS)
    assert TOLERANCE <= 1e-3


def test_prefix_tokens_have_rows_without_products():
    module = small(reg_tokens=3)
    pixels = np.stack([s.pixels(PREPROCESS) for s in sample_photos()])
    graph = quantize_pixels(load(module), pixels, QuantOptions())
    node = next(n for n in graph.nodes if isinstance(n, ir.PatchEmbed))
    assert node.prefix == 4
    acc = Executor(graph).trace(pixels, [node.output])[node.output]
    assert acc.shape == (2, 20, 32)
    assert not acc[:, :4].any()
    assert acc[:, 4:].any(-1).all()


@pytest.mark.parametrize("function", Activation)
def test_float_and_exact_activations_agree(function):
    from golden.quant.vit.activations import activate, precise

    x = np.linspace(-8, 8, 97)
    exact = [float(function.exact(value)) for value in map(_mpf, x)]
    assert np.allclose(precise(function, x), exact, rtol=0, atol=1e-12)
    single = activate(function, torch.from_numpy(x).float())
    assert np.allclose(single.numpy(), exact, rtol=0, atol=1e-5)


def _mpf(value):
    import mpmath

    return mpmath.mpf(float(value))
