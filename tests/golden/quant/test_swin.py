"""Swin: mapped completely, equal to timm's, quantized with every option, close to float."""

import numpy as np
import pytest
import torch
from torch import nn

from golden.catalogue.models import MODELS, ModelSpec
from golden.catalogue.preprocess import Preprocess
from golden.catalogue.torchvision_shim import ensure_torchvision
from golden.data.datasets import open_dataset
from golden.data.pictures import sample_photos
from golden.evaluation.ledger import ledger
from golden.evaluation.measures import codes_off, float_logits, integer_logits, pixels_of, sqnr
from golden.execute.batched import Executor
from golden.execute.reference import run_reference
from golden.graph import ir
from golden.graph.check import check_graph
from golden.models.load import LoadedModel, bundled_weights, load_model
from golden.models.random_weights import randomize
from golden.ops.softmax import AttnFormat, ExpForm
from golden.quant import BitMap, QuantOptions, bit_map, quantize, quantize_pixels
from golden.quant.bit_widths import NAMED
from golden.quant.learn.options import LearnOptions
from golden.quant.search.observers import METHODS
from golden.quant.swin.build import SwinNetwork
from golden.quant.swin.fidelity import forward
from golden.quant.swin.mapping import map_swin
from golden.quant.vit.fidelity import difference
from golden.support.errors import PotvitError
from golden.training.digits import accuracy

BIG = [name for name in MODELS if name.startswith("swin") and name != "swin_digits"]
#: Relative error of the mapped float network, 32 pictures.
EXACT = 1e-4
SMALL = {
    "img_size": 56, "patch_size": 4, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4),
    "window_size": 5, "num_classes": 7,
}  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    model = load_model("swin_digits")
    return model, open_dataset(None, model.spec)


@pytest.fixture(scope="module")
def test_pixels(digits):
    model, data = digits
    return pixels_of(model, data.evaluation), np.array([s.label for s in data.evaluation])


def small(**changes):
    """A Swin of padded grids, 14 x 14 in windows of 5 and 7 x 7, with seeded weights."""
    ensure_torchvision()
    from timm.models.swin_transformer import SwinTransformer

    size = {**SMALL, **changes}
    preprocess = Preprocess(
        size=size["img_size"], crop_pct=1.0, mean=(0.5, 0.4, 0.6), std=(0.2, 0.25, 0.3)
    )
    module = SwinTransformer(**size).eval().requires_grad_(False)
    randomize(module, preprocess, 0)
    spec = ModelSpec(name="small", timm_name="small", preprocess=preprocess, num_classes=7)
    return LoadedModel(module=module, spec=spec, weights_source="seed", weights_sha256="0")


def photos(model, count=2):
    """Views of the two photos, no two alike."""
    pixels = pixels_of(model, sample_photos())
    return np.stack([np.roll(pixels[i % 2], (7 * i, 11 * i), (0, 1)) for i in range(count)])


def mapped_error(model, pixels, eps):
    swin, preprocess = map_swin(model.module), model.spec.preprocess
    with torch.inference_mode():
        wanted = model.module(preprocess.normalize(pixels))
        return difference(wanted, forward(swin, preprocess, pixels, eps=eps))


def test_bundled_weights_are_small_and_good(digits):
    """444 of the 445 test pictures: 99.78 %."""
    assert accuracy(digits[0].module) >= 98.5
    assert bundled_weights("swin_digits").stat().st_size < 400_000
    assert any(any(b.shift_size) for b in digits[0].module.layers[0].blocks)


@pytest.mark.parametrize("eps", [True, False])
def test_mapped_float_network_is_timms(digits, test_pixels, eps):
    assert mapped_error(digits[0], test_pixels[0][:32], eps) <= EXACT
    assert mapped_error(small(), photos(small(), 4), eps) <= EXACT


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
def test_mapped_big_networks_are_timms(name, monkeypatch):
    monkeypatch.delenv("POTVIT_DATA", raising=False)
    model = load_model(name, quiet=True)
    assert mapped_error(model, photos(model, 32 if name == "swin_tiny" else 2), True) <= EXACT


@pytest.mark.parametrize(
    "changes",
    [
        {"img_size": 28, "window_size": 9},  # grids of 7 and 4, below the window
        {"img_size": 40, "depths": (1, 2, 1), "num_heads": (1, 2, 2)},  # 10, 5, 3: odd merges
        {"qkv_bias": False, "depths": (1, 1)},
        {"window_size": ((5, 5), (4, 3))},
        {"always_partition": True, "img_size": 24, "window_size": 4, "mlp_ratio": 2.0},
    ],
)
def test_other_shapes_are_mapped_and_run_exactly(changes):
    model = small(**changes)
    pixels = photos(model)
    assert mapped_error(model, pixels, True) <= EXACT
    graph = quantize_pixels(model, pixels, QuantOptions())
    check_graph(graph)
    assert sqnr(integer_logits(graph, pixels), float_logits(model, pixels)) > 8
    names = [node.output for node in graph.nodes]
    got = Executor(graph, chunk=1).trace(pixels, names)
    for name, value in run_reference(graph, pixels[1]).items():
        assert np.array_equal(got[name][1], value), name


@pytest.mark.parametrize("bits", ["w8a8", "w4a8", "w4a4"])
@pytest.mark.parametrize("attn", ["log2", "half"])
def test_digits_stay_accurate(digits, test_pixels, bits, attn):
    """All test pictures; within half a point of float with 8-bit weights, one and a half with 4."""
    model, data = digits
    pixels, labels = test_pixels
    graph = quantize(model, data.calib(64), QuantOptions(bits=bit_map(bits), attn=attn))
    ints = 100 * (Executor(graph).run(pixels).argmax(1) == labels).mean()
    assert ints >= accuracy(model.module) - (0.5 if bits == "w8a8" else 1.5)


@pytest.mark.parametrize(
    "changes",
    [
        *({"method": method} for method in METHODS),
        {"exp": ExpForm.IEXP},
        {"rule": "fq"},
        {"ptf": False},
        {"smoothing": None},
        {"smoothing": 0.5},
        {"rounding": "nearest", "refit": False, "bias_correction": False},
        {"stream_target": False, "centre_values": False, "equalize": False},
        {"bits": BitMap(name="merging", patterns={"*.reduction": NAMED["w4a4"]})},
        {"attn": "half", "exp": ExpForm.IEXP},
        {"attn": "none"},
    ],
    ids=lambda changes: ",".join(map(str, changes)),
)
def test_every_option_runs_and_means_the_float_network(digits, test_pixels, changes):
    model, data = digits
    pixels = test_pixels[0][:64]
    graph = quantize(model, data.calib(16), QuantOptions(**changes))
    assert sqnr(integer_logits(graph, pixels), float_logits(model, pixels)) > 12
    off = codes_off(graph, pixels[:2])
    assert (off is None) == ("none" in changes.values())
    assert off is None or off < 60
    if "bits" in changes:
        bits = {n.name: n.bits for n in graph.nodes if isinstance(n, ir.Linear)}
        assert [name for name, width in bits.items() if width == 4] == ["blocks.2.reduction"]


def test_nothing_but_the_class_token_weighs_more(digits):
    """The mean of all tokens is read: options of the class token change nothing and are recorded
    as what they were."""
    model, data = digits
    first, second = (
        quantize(model, data.calib(4), QuantOptions(class_weight=c, read_weight=r))
        for c, r in ((10.0, 1000.0), (1.0, 1.0))
    )
    for a, b in zip(first.nodes, second.nodes, strict=True):
        for name, value in ir.constants(a).items():
            assert np.array_equal(value, ir.constants(b)[name])
    assert first.meta["options"]["class_weight"] == 1.0


def test_the_projection_is_fitted_to_each_tokens_own_target():
    """With little trust in the float weights a fit to other tokens' targets would show."""
    model = small(depths=(2, 1))
    pixels = photos(model, 4)
    graph = quantize_pixels(model, pixels, QuantOptions(prior=10.0, stream_target=False))
    entries = {e["tensor"]: e["sqnr_db"] for e in ledger(model, Executor(graph), pixels)}
    assert entries["blocks.0.res1"] > 18
    assert entries["blocks.1.res1"] > 14


def test_float_stages_lead_from_pictures_to_logits(digits, test_pixels):
    """What learned rounding compares with is the float network, piece by piece."""
    model, _ = digits
    images = model.spec.preprocess.normalize(test_pixels[0][:8])
    stages = SwinNetwork(model.module, model.spec.preprocess).float_stages(1.0, 1.0)
    assert [stage.edge for stage in stages[:2]] == ["embed.norm", "blocks.0.res2"]
    x = images
    with torch.inference_mode():
        for stage in stages:
            x = stage.run(x)
        assert difference(model.module(images), x[:, 0]) < 1e-5


def test_rounding_is_learned():
    model = small(depths=(1, 1), img_size=24)
    pixels = photos(model, 4)
    bits = bit_map("w4a8")
    first, learned = (
        quantize_pixels(model, pixels, QuantOptions(bits=bits, learn=learn))
        for learn in (None, LearnOptions(steps=8))
    )
    assert any(
        not np.array_equal(value, ir.constants(b)[name])
        for a, b in zip(first.nodes, learned.nodes, strict=True)
        for name, value in ir.constants(a).items()
    )
    wanted = float_logits(model, pixels)
    before, after = (sqnr(integer_logits(g, pixels), wanted) for g in (first, learned))
    assert after > before - 1


def test_threads_do_not_matter(digits):
    model, data = digits
    before = torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(quantize(model, data.calib(8), QuantOptions(bits=bit_map("w4a8"))))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(made[0].nodes, made[1].nodes, strict=True):
        for name, value in ir.constants(a).items():
            assert np.array_equal(value, ir.constants(b)[name])


def test_ledger_covers_every_stored_tensor_and_sees_a_fault(digits, test_pixels):
    from dataclasses import replace

    model, data = digits
    graph = quantize(model, data.calib(32), QuantOptions())
    pixels = test_pixels[0][:4]
    entries = {e["tensor"]: e for e in ledger(model, Executor(graph), pixels)}
    assert {t.name for t in graph.stored()} <= set(entries)
    lossy = [e["sqnr_db"] for e in entries.values() if e["sqnr_db"] is not None]
    assert min(lossy) > 6
    masked = entries["blocks.1.scores"]
    scores = graph.tensors["blocks.1.scores"].shape
    seen = 1 - graph.producer("blocks.1.scores").windows.masked().mean()
    assert masked["elements"] == round(4 * np.prod(scores) * seen)
    assert masked["saturated"] < 5

    def broken(node):
        """The same table of biases, for keys and queries exchanged."""
        if node.name != "blocks.1.scores":
            return node
        return replace(node, bias=np.ascontiguousarray(node.bias.transpose(0, 2, 1)))

    wrong = replace(graph, nodes=tuple(map(broken, graph.nodes)))
    found = {e["tensor"]: e for e in ledger(model, Executor(wrong), pixels)}
    assert found["blocks.1.q"]["sqnr_db"] == entries["blocks.1.q"]["sqnr_db"]
    assert found["blocks.1.scores"]["sqnr_db"] < masked["sqnr_db"] - 10


def changed(how):
    module = small().module
    how(module)
    return module


def second(module):
    return module.layers[0].blocks[1]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda m: setattr(m.patch_embed, "norm", nn.Identity()), "patch_embed.norm (Identity)"),
        (lambda m: setattr(m.layers[0], "downsample", nn.Linear(2, 2)), "layers.0.downsample"),
        (lambda m: setattr(second(m), "norm1", nn.BatchNorm1d(16)), "layers.0.blocks.1.norm1"),
        (lambda m: setattr(second(m).attn, "softmax", nn.ReLU()), "layers.0.blocks.1.attn.softmax"),
        (lambda m: setattr(second(m), "extra", nn.Linear(2, 2)), "layers.0.blocks.1.extra"),
        (lambda m: second(m).attn_mask.zero_(), "layers.0.blocks.1.attn_mask is not that"),
        (
            lambda m: second(m).attn.relative_position_index.copy_(
                second(m).attn.relative_position_index.T.clone()
            ),
            "layers.0.blocks.1.attn.relative_position_index is not that",
        ),
        (lambda m: setattr(m.head.global_pool, "pool_type", "max"), "head.global_pool"),
        (lambda m: setattr(m.head, "fc", nn.Identity()), "head.fc (Identity)"),
        (lambda m: setattr(second(m).mlp, "act", nn.Sigmoid()), "layers.0.blocks.1.mlp.act"),
    ],
)
def test_what_has_no_integer_form_is_refused_by_its_name(how, words):
    with pytest.raises(PotvitError) as refusal:
        map_swin(changed(how))
    assert str(refusal.value).startswith(words)
    assert "\n" not in str(refusal.value)


def test_another_forward_pass_is_refused(digits):
    model = small()
    block = second(model.module)
    plain = block.forward
    block.forward = lambda x: plain(x) + 0.5 * x
    with pytest.raises(PotvitError, match="another forward pass than timm's"):
        quantize_pixels(model, photos(model), QuantOptions())


def test_masks_and_formats_reach_the_graph(digits):
    model, data = digits
    graph = quantize(model, data.calib(2), QuantOptions(attn="half"))
    softmax = {n.name: n for n in graph.nodes if isinstance(n, ir.Softmax)}
    assert [n.masked for n in softmax.values()] == [False, True, False, False]
    assert all(n.fmt is AttnFormat.HALF for n in softmax.values())
    assert [n.merge.merged for n in graph.nodes if isinstance(n, ir.Merge)] == [(4, 4)]
    stream = graph.producer("embed.norm")
    assert isinstance(stream, ir.LayerNorm)
    assert np.ptp(graph.tensors["embed.norm"].exponent) in (1, 2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
@pytest.mark.parametrize("bits", ["w8a8", "w4a8"])
def test_big_networks_keep_their_logits(name, bits, monkeypatch):
    """Seeded weights: at least 12 dB with 8-bit weights and 4-bit codes."""
    monkeypatch.delenv("POTVIT_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = load_model(name, quiet=True)
    pixels = photos(model)
    graph = quantize_pixels(model, pixels, QuantOptions(bits=bit_map(bits)))
    wanted = 12 if bits == "w8a8" else 6
    assert sqnr(integer_logits(graph, pixels), float_logits(model, pixels)) >= wanted
