"""The quantizer end to end on the embedded model: exact graphs, repeatable, close to float."""

import hashlib
from dataclasses import fields

import numpy as np
import pytest
import torch

from golden.data.datasets import open_dataset
from golden.data.pictures import batches
from golden.execute.batched import Executor
from golden.execute.reference import run_reference
from golden.graph import ir
from golden.models.load import load_model
from golden.quant import BitMap, QuantOptions, bit_map, quantize
from golden.quant.bit_widths import PRESETS
from golden.support.errors import PotvitError


def digest(graph: ir.Graph) -> str:
    """sha256 over every node field and every edge's exponents."""
    state = hashlib.sha256()
    for node in graph.nodes:
        for f in fields(node):
            value = getattr(node, f.name)
            state.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    for tensor in graph.tensors.values():
        state.update(repr((tensor.name, tensor.shape, tensor.exponent.tolist())).encode())
    return state.hexdigest()


@pytest.fixture(scope="module")
def digits():
    model = load_model("vit_digits")
    data = open_dataset(None, model.spec)
    return model, data


@pytest.fixture(scope="module")
def graph(digits):
    model, data = digits
    return quantize(model, data.calib(64), QuantOptions())


def evaluate(digits, graph, count=200):
    model, data = digits
    pixels, labels = next(iter(batches(data.eval_samples(count), model.spec.preprocess, count)))
    wanted = model.module(model.spec.preprocess.normalize(pixels)).argmax(1).numpy()
    got = Executor(graph).run(pixels).argmax(1)
    return (got == labels).mean(), (wanted == labels).mean(), (got == wanted).mean()


@pytest.mark.parametrize("bits", ["w8a8", "w4a8", "w4a4"])
@pytest.mark.parametrize("attn", ["log2", "half", "none"])
def test_digits_stay_accurate(digits, bits, attn):
    model, data = digits
    made = quantize(model, data.calib(64), QuantOptions(bits=bit_map(bits), attn=attn))
    ints, floats, agreement = evaluate(digits, made)
    assert ints >= floats - 0.02
    assert agreement >= 0.97


def test_every_canonical_edge_is_stored(graph):
    per_block = ("ln1", "q", "k", "v", "scores", "codes", "attn", "res1", "ln2", "gelu", "res2")
    wanted = ["embed"]
    wanted += [f"blocks.{i}.{name}" for i in range(3) for name in per_block]
    assert {t.name for t in graph.stored()} == {*wanted, "norm", "logits"}


def test_reference_gives_the_same_logits(digits, graph):
    model, data = digits
    pixels = data.eval_samples(1)[0].pixels(model.spec.preprocess)
    expected = run_reference(graph, pixels)["logits"]
    assert np.array_equal(Executor(graph).run(pixels[None]), expected)


def test_threads_do_not_matter(digits):
    model, data = digits
    before = torch.get_num_threads()
    digests = set()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            options = QuantOptions(bits=BitMap(name="mixed", patterns=PRESETS["w4a4"]))
            digests.add(digest(quantize(model, data.calib(16), options)))
    finally:
        torch.set_num_threads(before)
    assert len(digests) == 1


def test_one_picture_is_enough(digits):
    model, data = digits
    made = quantize(model, data.calib(1), QuantOptions())
    assert evaluate(digits, made)[2] >= 0.9


def test_no_picture_is_refused(digits):
    with pytest.raises(PotvitError, match="at least one calibration picture"):
        quantize(digits[0], [], QuantOptions())


@pytest.mark.parametrize("value", [0, 255])
def test_uniform_picture_runs(digits, graph, value):
    pixels = np.full((1, 64, 64, 1), value, np.uint8)
    expected = run_reference(graph, pixels[0])["logits"]
    assert np.array_equal(Executor(graph).run(pixels), expected)
