"""The wheel: it has all that the packages read, and works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from golden.graph.bundle import save_bundle
from golden.support.environment import pip_environment
from golden.synthetic.graphs import random_graph
from hw.config import preset
from hw.program.file import load_program
from sim.simulator.generated import generated

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("formal", "golden", "hw", "potvit", "sim", "synth")
SMALL = {"tokens": 5, "channels": 32, "heads": 2, "depth": 1, "patch": 8, "image_channels": 4}


def packaged():
    """Files of the packages, caches aside."""
    return [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools leaves its own build folder where it works."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for path in [*packaged(), *(ROOT / n for n in ("pyproject.toml", "README.md", "LICENSE"))]:
        to = source / path.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", *words, "--wheel-dir", str(folder), str(source)],
        env=pip_environment(), check=True,
    )  # fmt: skip
    return next(folder.glob("potvit-*.whl"))


def test_every_file_of_the_packages_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    wanted = {path.relative_to(ROOT).as_posix() for path in packaged()}
    assert len(wanted) > 250
    assert wanted - names == set()
    assert {"hw/lib/potvit_mem.v", "hw/driver/c/potvit.c", "potvit/py.typed"} <= names


@pytest.mark.slow
def test_it_works_in_an_empty_environment(wheel, tmp_path):
    """With ``[hw]`` alone: Verilog, a program from a bundle; one line for what is not there."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    lock = ["--constraint", str(ROOT / "requirements.lock")]
    done = subprocess.run(
        [str(venv / "bin" / "pip"), "install", "--quiet", *lock, f"{wheel}[hw]"],
        env=pip_environment(), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and "No matching distribution" in done.stderr + done.stdout:
        pytest.skip("pip's index cannot be reached")
    assert done.returncode == 0, done.stderr
    graph = random_graph(**SMALL)
    save_bundle(graph, tmp_path / "bundle")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    def potvit(*words):
        return subprocess.run(
            [str(venv / "bin" / "potvit"), *words],
            cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert potvit("--version").stdout.startswith("potvit 0.")
    made = potvit("verilog", "--config", "tiny")
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "build" / "verilog" / "tiny" / "potvit.v").read_text()
    assert text == generated(preset("tiny")).verilog
    made = potvit("compile", "bundle", "--config", "tiny", "--out", "p.potvit")
    assert made.returncode == 0, made.stderr
    assert load_program(tmp_path / "p.potvit").digest == preset("tiny").digest
    for words in (("eval", "vit_digits"), ("package",), ("sim",)):
        lacking = potvit(*words)
        assert lacking.returncode == 2
        assert "is missing: pip install 'potvit[quant]'" in lacking.stderr
        assert lacking.stderr.count("\n") == 1
