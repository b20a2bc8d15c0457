"""Training by the integer forward: proven, interruptible, and stopped by a loss that is none."""

import hashlib
import json

import numpy as np
import pytest
import torch

from golden.__main__ import COMMANDS
from golden.commands import train as command
from golden.data.datasets import open_dataset
from golden.models.load import load_model
from golden.quant import QuantOptions, bit_map
from golden.quant.build import starting_point
from golden.quant.learn.network import LearnedNetwork
from golden.quant.learn.workers import workers
from golden.support.command_line import main
from golden.support.errors import PotvitError
from golden.training import options as settings
from golden.training.checkpoint import State, write_state
from golden.training.options import TrainOptions
from golden.training.quantized import Training

WORDS = ["train", "vit_digits", "--bits", "w4a4", "--calib", "40", "--batch", "16", "--limit", "20"]


def run(out, *words):
    return main("golden", COMMANDS, [*WORDS, "--out", str(out), *map(str, words)])


def files(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def lively(monkeypatch):
    """Steps so fast that exponents move in every run."""
    monkeypatch.setitem(settings.FACTORS, "step", 40.0)
    monkeypatch.setitem(settings.FACTORS, "weight_step", 20.0)


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch, lively):
    assert run(tmp_path / "whole", "--epochs", 3) == 0
    report = json.loads((tmp_path / "whole" / "report.json").read_text())
    assert [entry["epoch"] for entry in report["history"]] == [0, 1, 2, 3]
    assert sum(entry["moved"] for entry in report["history"]) > 0
    assert report["best"] == np.argmin([entry["objective"] for entry in report["history"]])
    wanted = {"report.json", "curve.svg", "checkpoint.safetensors"}
    assert wanted < set(files(tmp_path / "whole"))

    epoch = Training.epoch

    def dying(self, state, tell):
        def count(step, loss):
            tell(step, loss)
            if step == 5:  # within the second epoch
                raise KeyboardInterrupt

        epoch(self, state, count)

    monkeypatch.setattr(Training, "epoch", dying)
    assert run(tmp_path / "cut", "--epochs", 3) == 130
    assert set(files(tmp_path / "cut")) == {"checkpoint.safetensors"}
    monkeypatch.setattr(Training, "epoch", epoch)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads % 2 + 1)  # nor does the number of threads matter
    try:
        assert run(tmp_path / "cut", "--epochs", 3, "--resume") == 0
    finally:
        torch.set_num_threads(threads)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_training_comes_nearer_to_the_float_network():
    """From weights rounded to nearest, which leaves much to learn."""
    model = load_model("vit_digits")
    preprocess = model.spec.preprocess
    samples = open_dataset(None, model.spec).calib(40)
    pixels = np.stack([sample.pixels(preprocess) for sample in samples])
    options = QuantOptions(
        bits=bit_map("w4a4"), rounding4="nearest", refit=False, bias_correction=False
    )
    start = starting_point(model, pixels, options)
    with torch.no_grad():
        teacher = model.module(preprocess.normalize(pixels))
    with workers(10_000) as pool:
        labels = np.array([sample.label for sample in samples])
        training = Training(
            start.graph,
            start.wanted,
            pixels,
            teacher,
            labels,
            TrainOptions(epochs=4, batch=8),
            pool,
        )
        state = training.begin("test")
        while state.epoch < 4:
            training.epoch(state, lambda step, loss: None)
        graph = training.result(state)
    objectives = [entry["objective"] for entry in state.history]
    assert min(objectives) < 0.8 * objectives[0]
    assert state.best == np.argmin(objectives)
    assert graph.tensors["blocks.0.ln1"].bits == 4


def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(tmp_path, monkeypatch, capsys):
    loss, seen = Training._loss, []

    def failing(self, pictures):
        seen.append(len(pictures))
        made = loss(self, pictures)
        return made * float("nan") if made.requires_grad and len(seen) > 12 else made

    monkeypatch.setattr(Training, "_loss", failing)
    assert run(tmp_path, "--epochs", 5) == 2
    line = capsys.readouterr().err
    assert "the loss is nan: the checkpoint of epoch" in line
    assert "lower --lr" in line
    kept = int(line.split("checkpoint of epoch ")[1].split()[0])
    assert kept > 0
    assert set(files(tmp_path)) == {"checkpoint.safetensors"}
    monkeypatch.setattr(Training, "_loss", loss)
    assert run(tmp_path, "--epochs", 5, "--resume") == 0
    history = json.loads((tmp_path / "report.json").read_text())["history"]
    assert [entry["epoch"] for entry in history] == list(range(6))


def test_an_export_that_differs_is_refused(tmp_path, monkeypatch, capsys):
    learned = LearnedNetwork.learned

    def wrong(self):
        graph = learned(self)
        head = graph.nodes[-1]
        head.bias[0] += 1 << 10
        return graph

    monkeypatch.setattr(LearnedNetwork, "learned", wrong)
    assert run(tmp_path, "--epochs", 1) == 2
    assert "logits are not the trained ones" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_resuming_what_is_not_there_or_another_run_is_refused(tmp_path, capsys):
    assert run(tmp_path, "--epochs", 1, "--resume") == 2
    assert "nothing to resume" in capsys.readouterr().err
    path = tmp_path / command.CHECKPOINT
    write_state(path, State(run="another"))
    assert run(tmp_path, "--epochs", 1, "--resume") == 2
    assert "is of another run" in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:20])
    assert run(tmp_path, "--epochs", 1, "--resume") == 2
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learn", "3"], "drop --learn"),
        (["--epochs", "0"], "at least 1"),
        (["--lr", "-1"], "lr is -1.0"),
        (["--lr", "nan"], "lr is nan"),
        (["--out", "/proc/none"], "cannot be written"),
        (["--mode", "1", "--hard", "1"], "--hard needs labels"),
        (["--device", "cuda:7"], "cannot be used"),
    ],
)
def test_bad_words_are_refused(tmp_path, capsys, words, message):
    try:
        status = run(tmp_path, *words)
    except SystemExit as end:  # argparse's own
        status = end.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert files(tmp_path) == {}


def test_bad_settings_are_refused():
    for wrong in ({"batch": 0}, {"hard": -1}, {"weight_decay": 2}, {"seed": -1}):
        with pytest.raises(PotvitError):
            TrainOptions(**wrong)
