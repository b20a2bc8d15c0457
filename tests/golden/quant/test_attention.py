"""Attention's calibration: folded scales, code weights, and changes that leave the float alone."""

import math

import numpy as np
import pytest
import torch

from golden.data.datasets import open_dataset
from golden.evaluation import measures
from golden.graph import ir
from golden.models.load import load_model
from golden.ops import ShiftAttention
from golden.ops.softmax import AttnFormat, ExpForm
from golden.quant import QuantOptions, quantize_pixels
from golden.quant.vit import attention
from golden.quant.vit.scores import logit_exponent


@pytest.mark.parametrize(("depth", "m"), [(16, 2), (64, 3), (32, 2), (48, 2)])
def test_query_scale_is_one_over_root_depth(depth, m):
    factor, shift = attention.query_scale(depth, ExpForm.IEXP)
    assert shift == m
    assert factor * 2.0**-m == pytest.approx(depth**-0.5)
    assert (factor == 1) == (depth in (16, 64))
    base2, _ = attention.query_scale(depth, ExpForm.BASE2)
    assert base2 / factor == pytest.approx(math.log2(math.e))


@pytest.mark.parametrize("fmt", list(AttnFormat))
def test_code_weights_are_what_the_shifters_do(fmt):
    codes = np.arange(fmt.zero_code + 1)[:, None]
    v = np.array([[64 << 1]]) - 1
    table = attention.code_weights(fmt).numpy()[codes[:, 0]]
    got = ShiftAttention(fmt=fmt).compute(codes, v, 0)[:, 0]
    assert np.all(np.abs(got - table * v[0, 0]) <= 1)
    assert table[-1] == 0
    assert attention.code_weights(None)[255] == 1


def test_logit_exponent_stays_in_range_and_avoids_clipping():
    rng = np.random.default_rng(1)
    narrow = rng.normal(0, 0.3, (2, 9, 9))
    assert logit_exponent("minmax", narrow, 1.0, 1.0) == -5
    wide = rng.normal(0, 60, (2, 9, 9))
    assert logit_exponent("minmax", wide, 1.0, 1.0) in (-1, 0)


def test_octaves_are_half_the_ratio_and_bounded():
    over = np.array([1.0, 4.0, 16.0, 1.0, 2.0**20, 0.0])
    under = np.array([1.0, 1.0, 1.0, 16.0, 1.0, 0.0])
    # From mean squares: an rms ratio of 4 is shared as a factor of 2.
    assert attention.octaves(over, under).tolist() == [1, 2, 2, 0.5, 16, 1]


def test_equalization_undoes_uneven_channels():
    model = load_model("vit_digits")
    pixels = measures.pixels_of(model, open_dataset("digits", model.spec).calib(24))
    wanted = measures.float_logits(model, pixels)
    with torch.no_grad():
        for block in model.module.blocks:
            _make_uneven(block.attn)
    assert measures.sqnr(measures.float_logits(model, pixels), wanted) > 60
    quality = {
        equalize: measures.sqnr(
            measures.integer_logits(
                quantize_pixels(model, pixels, QuantOptions(attn="half", equalize=equalize)), pixels
            ),
            wanted,
        )
        for equalize in (True, False)
    }
    assert quality[True] > quality[False] + 3


def test_read_weight_acts_in_the_last_block_on_what_only_the_class_token_needs():
    model = load_model("vit_digits")
    pixels = measures.pixels_of(model, open_dataset("digits", model.spec).calib(24))
    one, other = (
        {
            node.name: [a.tobytes() for a in ir.constants(node).values()]
            for node in quantize_pixels(model, pixels, QuantOptions(read_weight=weight)).nodes
        }
        for weight in (10.0, 1000.0)
    )
    changed = {name for name in one if one[name] != other[name]}
    assert {"blocks.2.q", "blocks.2.proj", "blocks.2.fc2"} <= changed
    assert all(name.startswith(("blocks.2.", "norm", "head")) for name in changed)
    assert not changed & {"blocks.2.ln1", "blocks.2.k"}


def _make_uneven(part):
    """Channels of Q against K and V against the projection, and K's mean: same float network."""
    channels = part.proj.in_features
    factor = torch.tensor([16.0, 1.0]).repeat(channels // 2)
    q, k, v = part.qkv.weight.split(channels)
    qb, kb, vb = part.qkv.bias.split(channels)
    for weight, bias, by in ((q, qb, factor), (k, kb, 1 / factor), (v, vb, factor)):
        weight *= by[:, None]
        bias *= by
    part.proj.weight /= factor
    kb += 4 * k.norm(dim=1)
