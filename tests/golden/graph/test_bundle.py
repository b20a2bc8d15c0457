"""The bundle: same bits back, damage refused, nothing half-written."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from golden.execute.reference import run_reference
from golden.graph import ir
from golden.graph.bundle import MANIFEST, MODEL, load_bundle, load_streams, save_bundle
from golden.ops.softmax import RULE_FQ, AttnFormat, ExpForm
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image

ROOT = Path(__file__).resolve().parents[3]


def sha256s(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def streams(graph, count):
    for seed in range(count):
        image = random_image(graph, seed)
        yield {"image": image, **run_reference(graph, image)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bits": 4, "fmt": AttnFormat.HALF},
        {"bits": 4, "activations": 4},
        {"fmt": None},
        {"form": ExpForm.IEXP, "rule": RULE_FQ},
    ],
)
def test_the_graph_comes_back_equal(tmp_path, options):
    graph = random_graph(**options)
    save_bundle(graph, tmp_path / "b")
    back = load_bundle(tmp_path / "b")
    assert (back.input, back.output, back.meta) == (graph.input, graph.output, graph.meta)
    assert list(back.tensors) == list(graph.tensors)
    for name, tensor in graph.tensors.items():
        other = back.tensors[name]
        for field in ("shape", "dtype", "kind", "bits"):
            assert getattr(other, field) == getattr(tensor, field)
        assert np.array_equal(other.exponent, tensor.exponent)
    compared = 0
    for node, other in zip(graph.nodes, back.nodes, strict=True):
        assert type(node) is type(other)
        arrays, others = ir.constants(node), ir.constants(other)
        assert arrays.keys() == others.keys()
        for name, value in arrays.items():
            assert value.dtype == others[name].dtype
            assert np.array_equal(value, others[name])
        for name in set(vars(node)) - set(arrays):
            assert getattr(node, name) == getattr(other, name)
            assert type(getattr(node, name)) is type(getattr(other, name))
            compared += 1
    assert compared > 100
    image = random_image(graph, 9)
    assert np.array_equal(
        run_reference(back, image)["logits"], run_reference(graph, image)["logits"]
    )


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    save_bundle(random_graph(seed=1), tmp_path / "a", streams(random_graph(seed=1), 2))
    save_bundle(random_graph(seed=1), tmp_path / "b", streams(random_graph(seed=1), 2))
    save_bundle(load_bundle(tmp_path / "a"), tmp_path / "c", streams(random_graph(seed=1), 2))
    save_bundle(random_graph(seed=2), tmp_path / "d", streams(random_graph(seed=2), 2))
    a, b, c, d = (sha256s(tmp_path / x) for x in "abcd")
    assert len(a) == 4
    assert a == b == c
    assert all(a[name] != d[name] for name in a)


def test_streams_hold_every_edge(tmp_path):
    graph = random_graph()
    save_bundle(graph, tmp_path / "b", streams(graph, 2))
    for index in range(2):
        got = load_streams(tmp_path / "b", index)
        want = list(streams(graph, 2))[index]
        assert got.keys() == want.keys() == graph.tensors.keys()
        for name, value in want.items():
            assert got[name].dtype == value.dtype
            assert np.array_equal(got[name], value)
    with pytest.raises(PotvitError, match=r"tensors of 2 images, not of image 2: .*--tensors 3"):
        load_streams(tmp_path / "b", 2)


def test_reading_needs_neither_torch_nor_timm(tmp_path):
    graph = random_graph()
    save_bundle(graph, tmp_path / "b")
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['timm'] = sys.modules['amaranth'] = None\n"
        "from pathlib import Path\n"
        "from golden.graph.bundle import load_bundle\n"
        "from golden.execute.reference import run_reference\n"
        "from golden.synthetic.graphs import random_image\n"
        "graph = load_bundle(Path(sys.argv[1]))\n"
        "print(run_reference(graph, random_image(graph, 5))['logits'].tolist())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "b")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        json.loads(done.stdout) == run_reference(graph, random_image(graph, 5))["logits"].tolist()
    )


@pytest.fixture
def bundle(tmp_path):
    graph = random_graph(depth=1)
    save_bundle(graph, tmp_path / "b", streams(graph, 1))
    return tmp_path / "b"


@pytest.mark.parametrize("name", [MODEL, "tensors_000.safetensors"])
def test_damaged_parts_are_refused(bundle, name):
    path = bundle / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(PotvitError, match=f"{name} has .* bytes instead of .*truncated"):
        load_bundle(bundle)
    path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    with pytest.raises(PotvitError, match=f"{name} was altered"):
        load_bundle(bundle)
    path.unlink()
    with pytest.raises(PotvitError, match=f"{name} is missing"):
        load_bundle(bundle)


def test_damaged_manifests_are_refused(bundle):
    path = bundle / MANIFEST
    text = path.read_text()

    def refused(changed, match):
        assert changed != text
        path.write_text(changed)
        with pytest.raises(PotvitError, match=match):
            load_bundle(bundle)

    refused(text[: len(text) // 2], "unreadable")
    refused(text.replace('"heads": 2', '"heads": 4'), "was altered")
    refused(text.replace('"potvit-bundle"', '"recipe"'), "describes no potvit-bundle")
    refused(text.replace('"version": 2', '"version": 1'), "has version 1, this program reads 2")
    refused("[]", "describes no potvit-bundle")
    path.unlink()
    with pytest.raises(PotvitError, match=r"is no bundle: it has no manifest\.json"):
        load_bundle(bundle)


def test_an_older_bundle_is_replaced_and_other_folders_are_not(tmp_path):
    save_bundle(random_graph(seed=1), tmp_path / "b", streams(random_graph(seed=1), 1))
    save_bundle(random_graph(seed=2), tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == [MANIFEST, MODEL]
    assert load_bundle(tmp_path / "b").meta["weights"].endswith("seed 2")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(PotvitError, match="holds something else"):
        save_bundle(random_graph(), tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(PotvitError, match="is no folder"):
        save_bundle(random_graph(), tmp_path / "file")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "file", "mine"]


def test_a_place_that_cannot_be_written_is_named():
    with pytest.raises(PotvitError, match=r"/proc/bundle cannot be written"):
        save_bundle(random_graph(depth=1), Path("/proc/bundle"))


def test_a_full_disk_leaves_the_old_bundle(tmp_path, monkeypatch):
    save_bundle(random_graph(seed=1), tmp_path / "b")
    before = sha256s(tmp_path / "b")

    def full(path, data):
        with path.open("wb") as stream:
            stream.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PotvitError, match=r"b cannot be written \(No space left on device\)"):
        save_bundle(random_graph(seed=2), tmp_path / "b")
    assert sha256s(tmp_path / "b") == before
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_an_interrupt_leaves_nothing(tmp_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from golden.graph.bundle import save_bundle\n"
        "from golden.synthetic.graphs import random_graph\n"
        "def slow():\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
        "    yield {}\n"
        "save_bundle(random_graph(depth=1), Path(sys.argv[1]), slow())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "b")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert len(list(tmp_path.iterdir())) == 1  # the work folder
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.wait(20) != 0
        assert time.monotonic() - start < 20
    assert list(tmp_path.iterdir()) == []
