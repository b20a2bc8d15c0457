"""Every observer on every model: it runs, and the integers mean what the float network means."""

import pytest

from golden.catalogue.models import MODELS
from golden.data.datasets import open_dataset
from golden.evaluation.measures import float_logits, integer_logits, pixels_of, sqnr
from golden.models.load import load_model
from golden.quant import QuantOptions, quantize_pixels
from golden.quant.search.observers import METHODS

BIG = [name for name in MODELS if name != "vit_digits"]


def check(name, method, count):
    model = load_model(name, quiet=True)
    pixels = pixels_of(model, open_dataset(None, model.spec).calib(count))
    graph = quantize_pixels(model, pixels, QuantOptions(method=method))
    assert sqnr(integer_logits(graph, pixels), float_logits(model, pixels)) > 8


@pytest.mark.parametrize("method", METHODS)
def test_digits(method):
    check("vit_digits", method, 16)


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
@pytest.mark.parametrize("method", METHODS)
def test_big_models(name, method, monkeypatch):
    monkeypatch.delenv("POTVIT_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check(name, method, 2)
