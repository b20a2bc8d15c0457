"""The comparison of speeds: what it times, that it alternates, and what it reports."""

import json

import numpy as np
import pytest
import torch

from golden.__main__ import COMMANDS
from golden.evaluation import bench
from golden.execute.kernel.library import kernels
from golden.support.command_line import main
from golden.support.machine import machine

WORDS = ["bench", "vit_digits", "digits", "--calib", "12", "--limit", "4", "--threads", "1"]


def test_the_report_has_both_sides_and_the_machine(tmp_path, capsys):
    out = tmp_path / "bench.json"
    assert main("golden", COMMANDS, [*WORDS, "--rounds", "3", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["pictures"] == 4
    assert report["machine"] == machine()
    assert report["machine"]["cores"] >= 1
    assert report["kernels"] is (kernels(torch.device("cpu")) is not None)
    assert set(report["load"]) == {"before", "after"}
    (found,) = report["runs"]
    assert found["threads"] == 1
    assert found["ratio"] == report["ratio_1_thread"]
    for side in ("integer", "floating"):
        speeds = found[side]
        assert 0 < speeds["lowest"] <= speeds["median"] <= speeds["highest"]
        assert speeds["batch"] in bench.BATCHES
        assert speeds["batch"] <= 4
    assert "integer / fp32" in capsys.readouterr().out


class Network:
    """A float network, or an executor, whose clock ticks by the pictures that it sees."""

    def __init__(self, name, calls, cost):
        self.name, self.calls, self.cost = name, calls, cost

    def __call__(self, pixels):
        self.calls.append((self.name, len(pixels), self.cost(len(pixels))))

    run = __call__


def test_sides_alternate_at_their_best_batches(monkeypatch):
    calls = []
    integer = Network("i", calls, lambda batch: batch * (1 if batch == 2 else 3))
    floating = Network("f", calls, lambda batch: batch * (2 if batch == 4 else 5))
    clock = lambda: sum(cost for _, _, cost in calls)  # noqa: E731
    monkeypatch.setattr(bench.time, "perf_counter", clock)
    model = type("Model", (), {})()
    model.module = floating
    model.spec = type("Spec", (), {"preprocess": type("P", (), {"normalize": lambda s, x: x})()})()
    pixels = np.zeros((4, 2, 2, 1), np.uint8)
    (found,) = bench.compare(model, integer, pixels, [1], rounds=3)
    assert (found.integer.batch, found.floating.batch) == (2, 4)
    assert (found.integer.median, found.floating.median) == (1.0, 0.5)
    assert found.ratio == 2.0
    timed = [(name, size) for name, size, _ in calls][-9:]
    assert timed == [("i", 2), ("i", 2), ("f", 4)] * 3


@pytest.mark.parametrize("words", [["--limit", "0"], ["--rounds", "-1"], ["--threads", "x"]])
def test_senseless_numbers_are_refused(words):
    with pytest.raises(SystemExit) as caught:
        main("golden", COMMANDS, [*WORDS, *words])
    assert caught.value.code == 2
