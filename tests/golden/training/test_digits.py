import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from golden.catalogue.models import MODELS
from golden.data.datasets import open_dataset
from golden.data.digits import digits_arrays, digits_split
from golden.models.load import bundled_weights, load_model
from golden.training.digits import accuracy, train


def test_split_is_stratified_and_disjoint():
    train_samples, test_samples = digits_split()
    assert len(train_samples) == 1352
    assert len(test_samples) == 445
    assert not {s.name for s in train_samples} & {s.name for s in test_samples}
    shares = np.bincount([s.label for s in test_samples]) / np.bincount(
        [s.label for s in train_samples + test_samples]
    )
    assert shares.min() > 0.24
    assert shares.max() <= 0.25


def test_pixels_are_repeated_and_scaled():
    images, labels, testing = digits_arrays()
    first = int(np.flatnonzero(testing)[0])
    sample = open_dataset("digits", MODELS["vit_digits"]).eval_samples(1)[0]
    pixels = sample.pixels(MODELS["vit_digits"].preprocess)
    assert sample.label == labels[first]
    assert pixels.shape == (64, 64, 1)
    assert np.array_equal(pixels[::8, ::8, 0], images[first] * 15)
    assert np.array_equal(pixels[7::8, 7::8, 0], images[first] * 15)
    assert pixels.max() <= 240


def test_bundled_accuracy():
    """443 of the 445 test pictures: 99.55 %."""
    assert accuracy(load_model("vit_digits").module) >= 97.5


def test_bundled_file_is_small():
    assert bundled_weights("vit_digits").stat().st_size < 300_000


def test_training_learns_and_repeats_itself():
    first, percent = train(epochs=6, seed=3)
    second, again = train(epochs=6, seed=3)
    assert percent == again
    assert percent > 20  # chance is 10
    assert all(np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "golden", *words], capture_output=True, text=True, check=False
    )


def test_command_writes_a_loadable_file(tmp_path):
    out = tmp_path / "w.safetensors"
    done = command("train-digits", "--epochs", "1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "on the test pictures" in done.stdout
    assert "\r" not in done.stderr  # no progress bar where there is no terminal
    state = load_file(out)
    assert set(state) == set(load_file(bundled_weights("vit_digits")))
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert os.listdir(tmp_path) == ["w.safetensors"]
    assert load_model("vit_digits", out).weights_source == "file:w.safetensors"


@pytest.mark.parametrize(
    "words", [("--epochs", "0"), ("--epochs", "1", "--out", "/dev/null/w.safetensors")]
)
def test_command_errors_are_one_line(words):
    done = command("train-digits", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
