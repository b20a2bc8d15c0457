"""``python -m sim run`` and ``classify``: reports, mistakes, interruptions."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from golden.catalogue.models import model_spec
from golden.data.datasets import open_dataset
from golden.support.command_line import main
from hw.config import preset
from sim.__main__ import COMMANDS
from sim.commands import run as run_command
from sim.commands.classify import answer, percentages
from sim.system import whole

ROOT = Path(__file__).resolve().parents[3]
PICTURE = str(Path(sklearn.datasets.__file__).parent / "images" / "flower.jpg")
DIGITS = ["--model", "vit_digits", "--config", "tiny"]


def command(*words):
    """Exit status of ``python -m sim <words>``, in this process."""
    try:
        return main("python -m sim", COMMANDS, words)
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["run", "--model", "nope"], "unknown model 'nope': choose one of deit_tiny"),
        (["run", "--model"], "--model: expected one argument"),
        (["run", *DIGITS, "--config", "huge"], "unknown configuration 'huge'; one of tiny"),
        (
            ["run", "--model", "timm:resnet18"],
            "only its VisionTransformer and its SwinTransformer have",
        ),
        (["run", "--model", "runs/no.pth.tar"], "weights file runs/no.pth.tar does not exist"),
        (["run", *DIGITS, "--classes", "/no.txt"], "class names /no.txt do not exist"),
        (["run", *DIGITS, "--img-size", "32"], "--img-size is for timm's models"),
        *[
            ([*words, "--config", "no.toml"], "configuration file no.toml does not exist")
            for words in (["run"], ["classify", PICTURE], ["explore"], ["report"])
        ],
        *[
            ([*words, "--set", "rows=1"], "rows must be 2..32, got 1")
            for words in (["run"], ["classify", PICTURE], ["explore"], ["report"])
        ],
        (["run", *DIGITS, "--bits", "w3a8"], "bits 'w3a8' is neither a preset"),
        (["run", *DIGITS, "--attn", "log3"], "--attn: invalid choice: 'log3'"),
        (["run", *DIGITS, "--images", "0"], "--images needs at least one picture, not 0"),
        (["run", *DIGITS, "--images", "-1"], "--images needs at least one picture, not -1"),
        (["run", *DIGITS, "--images", "abc"], "--images: invalid int value: 'abc'"),
        (["run", *DIGITS, "--images", "446"], "--images 446: digits has only 445"),
        (["run", *DIGITS, "--seed", "abc"], "--seed: invalid int value: 'abc'"),
        (["run", *DIGITS, "--seed", "-1"], "--seed is a number from 0 to"),
        (["run", *DIGITS, "--stalls", "foo"], "--stalls: invalid choice: 'foo'"),
        (["run", *DIGITS, "--waves", "2"], "--waves: invalid choice: '2'"),
        (["run", *DIGITS, "--weights", "/no.pth"], "weights file /no.pth does not exist"),
        (["run", *DIGITS, "--data", "/no"], "DATA /no is no folder"),
        (["run", *DIGITS, "--out", str(ROOT)], "is a folder: --out names a file"),
        (["run", *DIGITS, "--waves", "1", "--out", "x.fst"], "waves would go to the same file"),
        (["classify", PICTURE, *DIGITS, "--data", "/no"], "DATA /no is no folder"),
        (["explore", "--model", "vit_digits", "--data", "/no"], "DATA /no is no folder"),
        (["classify"], "the following arguments are required: picture"),
        (["classify", "no.jpg", *DIGITS], "picture no.jpg does not exist"),
        (["classify", str(ROOT / "Makefile"), *DIGITS], "is no readable picture"),
        (["classify", str(ROOT), *DIGITS], "is no readable picture"),
    ],
)
def test_a_mistake_is_one_line(words, reason, capsys):
    assert command(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert reason in error
    assert error.count("\n") == 1


def test_a_model_too_large_for_the_configuration_is_one_line(monkeypatch, capsys):
    """Nothing is built; the message says what is too small, and by how much."""
    small = preset("tiny").change(name="small", max_channels=32)
    monkeypatch.setattr(run_command, "chosen_config", lambda _: small)
    monkeypatch.setattr(whole, "system", lambda *_, **__: pytest.fail("built"))
    assert command("run", *DIGITS) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: 48 channels, but configuration 'small' stops at 32")


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """Reports go to a folder of the test's own; the builds and bundles are the project's."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(run_command, "REPORTS", tmp_path / "sim")
    return tmp_path / "sim"


def test_a_stalled_run_leaves_the_plain_report_alone(reports, capsys):
    plain = reports / "vit_digits-w8a8-log2-tiny.json"
    stalled = reports / "vit_digits-w8a8-log2-tiny-random.json"
    assert command("run", *DIGITS) == 0
    before = plain.read_bytes()
    cycles = []
    for seed in ("2", "2", "5"):
        assert command("run", *DIGITS, "--stalls", "random", "--seed", seed) == 0
        report = json.loads(stalled.read_text())
        assert (report["stall_mode"], report["seed"]) == ("random", int(seed))
        assert report["bit_exact"]
        assert report["tensors_checked"] == report["tensors_expected"] > 30
        cycles.append(report["cycles"])
    assert plain.read_bytes() == before
    assert sorted(p.name for p in reports.iterdir()) == [stalled.name, plain.name]
    assert cycles[0] == cycles[1], "the seed must make a run repeatable"
    assert len({json.loads(before)["cycles"], cycles[0], cycles[2]}) == 3


def test_the_report_goes_where_it_is_told(reports, tmp_path, capsys):
    out = tmp_path / "elsewhere" / "run.json"
    assert command("run", *DIGITS, "--data", "digits", "--out", str(out)) == 0
    assert json.loads(out.read_text())["bit_exact"]
    assert not reports.exists()


def test_a_picture_of_the_users_own(tmp_path, monkeypatch, capsys):
    """A digit in, five lines out, the float network's beside them; -v tells what was compared."""
    monkeypatch.chdir(ROOT)
    sample = open_dataset(None, model_spec("vit_digits")).evaluation[3]
    picture = tmp_path / "digit.png"
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    sample.open().rotate(180).save(picture, exif=exif)
    assert command("classify", str(picture), *DIGITS) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert len(lines) == 5
    first = rf"1\. {sample.label} +(\d+\.\d) %   float: {sample.label} +(\d+\.\d) %"
    found = re.fullmatch(first, lines[0])
    assert found
    assert all(float(percent) > 70 for percent in found.groups())
    assert captured.err.splitlines()[-1] == ("digit.png: turned upright (EXIF orientation 3)")
    assert command("classify", str(picture), *DIGITS, "-v") == 0
    output = capsys.readouterr().out
    assert output.splitlines()[:5] == lines
    assert f"digit.png: {sample.label} (" in output
    assert "logits equal, " in output
    assert "tensors equal" not in output


def test_features_name_no_class(reports, capsys):
    words = "--model timm:vit_tiny_patch16_224 --img-size 64 --features class --config tiny"
    kwargs = "--model-kwargs depth=1 embed_dim=48 num_heads=3"
    assert command("run", *f"{words} {kwargs}".split()) == 0
    (path,) = reports.iterdir()
    report = json.loads(path.read_text())
    assert report["bit_exact"]
    assert report["top5"] == [[]]
    assert "tensors equal" in capsys.readouterr().out


def test_percentages_and_their_order():
    found = percentages(np.array([1000.0, 1000.0, 0.0, 1000.0 + np.log(2)]))
    assert np.allclose(found, [25, 25, 0, 50])
    names = ["a", "b", "a very long name of a class, beyond any room for it", "d"]
    lines = answer(names, found, found[::-1])
    assert [line.split()[1] for line in lines] == ["d", "a", "b", "a"]
    assert [line.split("float:")[1].split()[0] for line in lines] == ["a", "a", "d", "b"]
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) < 100


def test_no_place_for_the_report_is_one_line(reports, capsys):
    reports.write_text("in the way")
    assert command("run", *DIGITS) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: report ")
    assert reports.read_text() == "in the way"


def test_a_simulator_that_breaks_down_is_one_line(reports, monkeypatch, capsys):
    def broken(*_, **__):
        raise AssertionError("the simulator left no results\nits log\nand more")

    monkeypatch.setattr(whole.Job, "simulate", broken)
    assert command("run", *DIGITS) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: the simulation broke down (the simulator left no results)")
    assert "and more" in Path(error.rsplit(" ", 1)[1]).read_text()
    assert not list(reports.glob("*"))  # the place was tried, and left empty


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_an_interruption_leaves_no_process_and_no_file(number, status):
    """In the middle of a simulation: the simulator ends and its folder goes."""
    words = [sys.executable, "-m", "sim", "run", *DIGITS, "--images", "4"]
    with subprocess.Popen(
        words,
        cwd=ROOT,
        text=True,
        stderr=subprocess.PIPE,
        # Whoever runs the tests in the background has interrupts ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            simulator = running(process)
            folder = Path(os.readlink(simulator / "cwd"))
            assert folder.parent == ROOT / whole.SCRATCH
            process.send_signal(number)
            _, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == status
    assert "Traceback" not in error
    assert not folder.exists()
    assert not simulator.exists()


def running(process):
    """The /proc folder of the simulator that ``process`` started, once it has its own log."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(3000):
        for pid in children.read_text().split():
            found = Path("/proc") / pid
            if (found / "comm").read_text() == "sim\n" and (found / "cwd" / "trace.txt").exists():
                return found
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    raise AssertionError("no simulator was started")
