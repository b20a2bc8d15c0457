"""Bad input to the commands: one clear line, status 2, nothing half-written."""

import csv
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from golden.__main__ import COMMANDS
from golden.catalogue.models import model_spec
from golden.graph.bundle import load_bundle
from golden.models.load import build_module
from golden.support.command_line import main

ROOT = Path(__file__).resolve().parents[3]
QUANT = ["--quant", "--ptf", "--lis"]


@pytest.fixture
def photos(tmp_path):
    """Six little pictures, half for calibration; the last one is all black."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label", "split"])
        for i in range(6):
            pixels = rng.integers(0, 256, (16, 16), np.uint8) if i < 5 else np.zeros((16, 16))
            image = Image.fromarray(pixels.astype(np.uint8)).resize((64, 64))
            image.save(folder / f"{i}.png")
            writer.writerow([f"{i}.png", i, "calib" if i < 3 else "dev"])
    return folder


def golden(*arguments):
    try:
        return main("golden", COMMANDS, [str(a) for a in arguments])
    except SystemExit as end:  # argparse's own refusals
        return end.code


def refused(capsys, *arguments):
    """Run, expect one line of error, and return it."""
    assert golden(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    return captured.err


def rows(folder, change):
    lines = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join(change(lines)) + "\n")


def test_unknown_model(capsys):
    assert "unknown model 'resnet': choose one of deit_tiny" in refused(capsys, "eval", "resnet")
    assert "unknown model 'resnet'" in refused(capsys, "export", "resnet")


def test_data_without_labels(capsys, tmp_path):
    line = refused(capsys, "eval", "vit_digits", tmp_path)
    assert "has neither labels.csv nor train/ and val/ folders" in line
    assert "is no folder" in refused(capsys, "eval", "vit_digits", tmp_path / "nowhere")


def test_names_of_any_kind_stay_on_one_line(capfd, tmp_path):
    """A line break in a name, and bytes that are no text."""
    line = refused(capfd, "eval", "vit_digits", tmp_path / "no\nwhere")
    assert "no where is no folder" in line
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    folder.mkdir()
    Image.new("L", (64, 64)).save(folder / "a.png")
    out = tmp_path / "bundle"
    assert golden("export", "vit_digits", folder, "--calib", 1, "--out", out) == 0
    assert "labels of" in capfd.readouterr().out


def test_labels_out_of_range(capsys, photos):
    rows(photos, lambda lines: [*lines[:-1], "5.png,10,dev"])
    line = refused(capsys, "eval", "vit_digits", photos)
    assert "labels.csv line 7: label 10 is outside 0..9" in line


def test_no_evaluation_or_calibration_pictures(capsys, photos):
    rows(photos, lambda lines: lines[:4])
    assert "no labelled pictures" in refused(capsys, "eval", "vit_digits", photos, *QUANT)
    rows(photos, lambda lines: [lines[0], *(line.replace("calib", "dev") for line in lines[1:])])
    assert "no calibration pictures" in refused(capsys, "eval", "vit_digits", photos, *QUANT)


def test_a_file_that_is_no_picture(capsys, photos):
    (photos / "1.png").write_text("not a picture")
    assert "1.png is no readable picture" in refused(capsys, "eval", "vit_digits", photos, *QUANT)
    whole = (photos / "2.png").read_bytes()
    Image.effect_noise((64, 64), 50).save(photos / "1.png")
    (photos / "2.png").write_bytes(whole[: len(whole) // 2])
    assert "2.png is no readable picture" in refused(capsys, "eval", "vit_digits", photos, *QUANT)


def weights_file(path, change):
    state = {k: v.clone() for k, v in build_module(model_spec("vit_digits")).state_dict().items()}
    change(state)
    save_file(state, path)
    return path


def test_bad_weights(capsys, tmp_path, photos):
    def cut(state):
        state["head.weight"] = state["head.weight"][:5].clone()

    def poison(state):
        state["blocks.1.mlp.fc1.weight"][3, 4] = torch.nan

    run = ["eval", "vit_digits", photos, *QUANT, "--weights"]
    line = refused(capsys, *run, weights_file(tmp_path / "a.safetensors", cut))
    assert "head.weight has shape [5, 48], the model needs [10, 48]" in line
    line = refused(capsys, *run, weights_file(tmp_path / "b.safetensors", poison))
    assert "blocks.1.mlp.fc1.weight holds NaN or infinity" in line
    (tmp_path / "c.safetensors").write_bytes(b"\x00" * 7)
    assert "is damaged" in refused(capsys, *run, tmp_path / "c.safetensors")
    assert "does not exist" in refused(capsys, *run, tmp_path / "d.safetensors")
    assert "is a folder" in refused(capsys, *run, tmp_path)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_what_downloads_leave_in_place_of_weights(capsys, tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    run = ["eval", "vit_digits", "--weights", path]
    path.write_text("\n<!DOCTYPE html><html><body>404</body></html>")
    assert "is a web page, not weights: download it again" in refused(capsys, *run)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert "is a Git LFS pointer: run `git lfs pull`" in refused(capsys, *run)
    path.write_bytes(b"")
    assert "get it again" in refused(capsys, *run)


def test_weights_of_impossible_scale(capsys, tmp_path, photos):
    def erase(state):
        for tensor in state.values():
            tensor.zero_()

    def explode(state):
        state["head.bias"][2] = 1e30

    run = ["eval", "vit_digits", photos, *QUANT, "--weights"]
    for change, said in ((erase, "a shift is outside"), (explode, "head: a bias exceeds 32 bits")):
        line = refused(capsys, *run, weights_file(tmp_path / "w.safetensors", change))
        assert said in line
        assert "are the weights those of a trained network?" in line


def test_integer_tensors_are_no_weights(capsys, tmp_path):
    def cast(state):
        state["norm.bias"] = state["norm.bias"].to(torch.int8)

    path = weights_file(tmp_path / "w.safetensors", cast)
    line = refused(capsys, "eval", "vit_digits", "--weights", path)
    assert "tensor norm.bias is int8, not floating point" in line


def test_one_calibration_photo_and_an_all_black_one_work(photos, tmp_path, capsys):
    out = tmp_path / "r.json"
    for attn in ("log2", "half"):
        flags = [*QUANT, "--calib", 1, "--attn", attn, "--out", out]
        assert golden("eval", "vit_digits", photos, *flags) == 0
    rows(photos, lambda lines: [lines[0], "5.png,5,calib", "5.png,5,dev"])
    assert golden("eval", "vit_digits", photos, *QUANT, "--out", out) == 0
    assert "1 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("count", [0, -3, "x", "1.5"])
@pytest.mark.parametrize(
    "flag", ["--calib", "--limit", "--batch", "--calib-iter", "--calib-batchsize", "--print-freq"]
)
def test_impossible_counts(capsys, photos, flag, count):
    line = refused(capsys, "eval", "vit_digits", photos, *QUANT, flag, count)
    assert flag in line
    assert f"must be a whole number of at least 1, not {count}" in line


def test_contradicting_flags(capsys, photos):
    run = ["eval", "vit_digits", photos, "--quant"]
    assert "add --lis or drop it" in refused(capsys, *run, "--attn", "half")
    assert "add --lis or drop it" in refused(capsys, *run, "--rule", "fq")
    line = refused(capsys, *run, "--lis", "--calib", 3, "--calib-iter", 2)
    assert "give --calib or --calib-batchsize and --calib-iter, not both" in line
    assert "half-step codes need half" in refused(
        capsys, *run, "--lis", "--attn", "half", "--rule", "fq"
    )


def test_float_alone(capsys, photos):
    run = ["eval", "vit_digits", photos, "--float"]
    assert "drop it or --quant, --ptf and --lis" in refused(capsys, *run, "--lis")
    assert "--float has no use for --calib" in refused(capsys, *run, "--calib", 2)
    assert "add --lis or drop it" in refused(capsys, *run, "--attn", "half")


def test_a_model_said_twice(capsys, photos):
    line = refused(capsys, "eval", "vit_digits", "--model", "deit_tiny")
    assert "model is given twice, 'vit_digits' and 'deit_tiny'" in line
    line = refused(capsys, "eval", "vit_digits", photos, "--data", "x")
    assert "data is given twice" in line


def test_bad_bit_maps(capsys, photos, tmp_path):
    run = ["eval", "vit_digits", photos, *QUANT, "--bits"]
    assert "neither a preset (w8a8, w4a8, w4a4) nor a file" in refused(capsys, *run, "w2a2")
    (tmp_path / "m.json").write_text('{"blocks.*": 3}')
    assert "has 3 bits, not 4 or 8" in refused(capsys, *run, tmp_path / "m.json")
    (tmp_path / "m.json").write_text('{"layers.*": 4}')
    assert "matches no layer" in refused(capsys, *run, tmp_path / "m.json")
    (tmp_path / "m.json").write_text('{"*": "w4a4"}')
    assert "patch_embed cannot read 4-bit" in refused(capsys, *run, tmp_path / "m.json")


def test_places_that_cannot_be_written(capsys, photos):
    line = refused(capsys, "eval", "vit_digits", photos, "--out", "/proc/none/r.json")
    assert "report /proc/none/r.json cannot be written" in line
    line = refused(capsys, "export", "vit_digits", photos, "--out", "/proc/none/b")
    assert "/proc/none/b cannot be written" in line
    assert "is a folder: --out names a file" in refused(
        capsys, "eval", "vit_digits", photos, "--out", photos
    )


@pytest.mark.parametrize("command", ["eval", "export"])
def test_places_are_tried_before_the_work(capsys, photos, monkeypatch, command):
    def never(*_, **__):
        raise AssertionError("quantized for nothing")

    monkeypatch.setattr(f"golden.commands.{command}.quantize", never)
    flags = QUANT if command == "eval" else []
    line = refused(capsys, command, "vit_digits", photos, *flags, "--out", "/proc/none/x")
    assert "cannot be written" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("command", ["eval", "export"])
def test_a_read_only_folder(capsys, photos, tmp_path, command):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    line = refused(capsys, command, "vit_digits", photos, "--out", folder / "x")
    assert "cannot be written (Permission denied)" in line


def test_a_full_disk_is_one_line(capsys, photos, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("golden.graph.bundle.Path.write_bytes", full)
    line = refused(capsys, "export", "vit_digits", photos, "--out", tmp_path / "out" / "b")
    assert "b cannot be written (No space left on device): nothing was left there" in line
    monkeypatch.setattr("golden.support.report_file.os.replace", full)
    line = refused(capsys, "eval", "vit_digits", photos, "--out", tmp_path / "out" / "r.json")
    assert "r.json cannot be written (No space left on device)" in line
    assert list((tmp_path / "out").iterdir()) == []


def test_too_many_tensors(capsys, photos):
    run = ["export", "vit_digits", photos, "--tensors"]
    assert "has only 3 pictures" in refused(capsys, *run, 4)
    assert "--tensors: must be a whole number of at least 0, not -1" in refused(capsys, *run, -1)


@pytest.mark.parametrize("device", ["abacus", "meta", "cuda:99"])
@pytest.mark.parametrize("flags", [QUANT, []])
def test_unusable_devices(capsys, photos, device, flags):
    line = refused(capsys, "eval", "vit_digits", photos, *flags, "--device", device)
    assert f"device '{device}' cannot be used" in line


@pytest.mark.parametrize(
    ("number", "status", "said", "left"),
    [
        (signal.SIGINT, 130, "interrupted", 0),
        (signal.SIGTERM, 143, "", 0),
        (signal.SIGKILL, -9, "", 1),  # nothing can tidy up, but the final name is free
    ],
)
def test_an_interrupted_export_leaves_no_bundle(tmp_path, photos, number, status, said, left):
    out = tmp_path / "out" / "bundle"
    # The digest of the first part is slowed down, so that the signal meets a half-written bundle.
    code = (
        "import sys, time\n"
        "import golden.graph.bundle as bundle\n"
        "def slow(*_):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
        "bundle._manifest = slow\n"
        "from golden.__main__ import COMMANDS\n"
        "from golden.support.command_line import main\n"
        "sys.exit(main('golden', COMMANDS, sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "export", "vit_digits", str(photos), "--out", str(out)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        work = list(out.parent.iterdir())
        assert len(work) == 1
        assert (work[0] / "model.safetensors").is_file()
        process.send_signal(number)
        start = time.monotonic()
        assert process.wait(30) == status
        assert time.monotonic() - start < 30
        assert process.stderr is not None
        assert process.stderr.read().strip() == said
    assert not out.exists()
    assert len(list(out.parent.iterdir())) == left
    assert golden("export", "vit_digits", photos, "--out", out) == 0
    assert load_bundle(out).meta["model"] == "vit_digits"


def test_an_interrupt_during_the_imports_is_one_line():
    code = (
        "import os, signal, sys\n"
        "from golden.support.command_line import main\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'golden.commands.eval': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from golden.__main__ import COMMANDS\n"
        "sys.exit(main('golden', COMMANDS, ['eval', 'vit_digits']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr == "interrupted\n"


def test_a_reader_that_leaves_ends_the_command_quietly(photos, tmp_path):
    command = [sys.executable, "-m", "golden", "study", "--list"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            command, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (141, "")
