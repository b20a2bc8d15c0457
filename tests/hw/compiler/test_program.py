"""Programs on disk and on the command line, and the predictions in them."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from golden.execute.reference import run_reference
from golden.graph.bundle import save_bundle
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.config import preset
from hw.interpreter import run_program
from hw.isa.instruction import INSTR_BYTES, Op
from hw.program.file import load_program, save_program

SMALL = {"tokens": 17, "channels": 32, "heads": 2, "depth": 1, "patch": 8, "image_channels": 4}


@pytest.fixture(scope="module")
def graph():
    return random_graph(**SMALL)


def test_save_and_load(graph, tmp_path):
    program = compile_graph(graph, preset("tiny"), checkpoints=True)
    save_program(program, tmp_path / "p")
    loaded = load_program(tmp_path / "p")
    assert loaded == program
    image = random_image(graph, 0)
    dram = run_program(loaded, preset("tiny"), image)
    for name, want in run_reference(graph, image).items():
        if name in [t.name for t in graph.stored()]:
            assert np.array_equal(loaded.unpack(name, dram), want)


def test_same_graph_same_bytes(graph):
    first, second = (compile_graph(graph, preset("tiny")) for _ in range(2))
    assert first.image == second.image


def test_sections_do_not_overlap(graph):
    program = compile_graph(graph, preset("tiny"), checkpoints=True)
    spans = [(0, len(program.image)), (program.input_offset, program.input_bytes)]
    spans += [(c.layout.offset, c.layout.nbytes) for c in program.checkpoints]
    spans.sort()
    for (at, size), (after, _) in itertools.pairwise(spans):
        assert at + size <= after
    assert spans[-1][0] + spans[-1][1] <= program.window
    assert program.entry % 4096 == program.input_offset % 4096 == program.window % 4096 == 0
    assert len(program.image) == program.entry + program.count * INSTR_BYTES
    assert program.instructions()[-1].op is Op.END


def test_unknown_tensor(graph):
    program = compile_graph(graph, preset("tiny"))
    with pytest.raises(PotvitError, match="compile it with checkpoints"):
        program.unpack("embed", np.zeros(program.window, np.uint8))


def test_macs_are_the_networks(graph):
    program = compile_graph(graph, preset("tiny"))
    tokens, width = 17, 32
    linear = tokens * (4 * width * width + 2 * width * 128)
    want = 16 * width * 256 + linear + 2 * tokens * tokens * 16 + 10 * width
    assert program.macs == want == sum(layer.macs for layer in program.layers)


def test_layers_sum_to_the_total(graph):
    program = compile_graph(graph, preset("base"))
    assert sum(layer.cycles for layer in program.layers) == program.cycles
    assert [layer.name for layer in program.layers] == [
        "patch_embed", "blocks.0.attention", "blocks.0.proj",
        "blocks.0.fc1", "blocks.0.fc2", "head",
    ]  # fmt: skip


@pytest.mark.parametrize(("bits", "most"), [(8, 1_197_000), (4, 685_000)])
def test_deit_tiny_shape_reaches_its_utilisation(bits, most):
    """One block of DeiT-Tiny's shape on base, extended to twelve: 95 % (W8), 83 % of 2x (W4)."""
    graph = random_graph(
        tokens=197, channels=192, heads=3, depth=1, patch=16, classes=1000, bits=bits
    )
    program = compile_graph(graph, preset("base"))
    block = sum(layer.cycles for layer in program.layers if layer.name.startswith("blocks"))
    assert 0 < program.cycles + 11 * block <= most


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "hw", "compile", *map(str, words)], capture_output=True, text=True
    )


def test_command_prints_the_schedule(graph, tmp_path):
    save_bundle(graph, tmp_path / "bundle")
    done = command(
        tmp_path / "bundle", "--config", "tiny", "--checkpoints", "--out", tmp_path / "p"
    )
    assert done.returncode == 0, done.stderr
    for word in ("blocks.0.fc2", "total", "predicted array utilisation", "attn", "RESIDUAL"):
        assert word in done.stdout
    assert load_program(tmp_path / "p").config == "tiny"
    options = ("--config", "tiny", "--pictures", 2, "--serial", "--out", tmp_path / "two")
    assert command(tmp_path / "bundle", *options).returncode == 0
    two = load_program(tmp_path / "two")
    assert (two.pictures, two.serial) == (2, True)
    assert two.results[1].offset > two.results[0].offset


def test_command_refuses_in_one_line(graph, tmp_path):
    save_bundle(graph, tmp_path / "bundle")
    for words in (
        (tmp_path / "none",),
        (tmp_path / "bundle", "--config", "huge"),
        (tmp_path / "bundle", "--config", "tiny", "--blocks", 0),
        (tmp_path / "bundle", "--config", "tiny", "--set", "act_words=9"),
        (tmp_path / "bundle", "--config", "tiny", "--pictures", 0),
        (tmp_path / "bundle", "--config", "tiny", "--pictures", 2, "--checkpoints"),
    ):
        done = command(*words)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
