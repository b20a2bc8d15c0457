"""Which bundles are kept, and what makes a new one."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from golden.data.datasets import Dataset
from golden.data.pictures import Sample, open_image
from golden.graph.bundle import MANIFEST, MODEL
from golden.synthetic.graphs import random_graph
from sim.system import bundles


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Quantizations asked for; calibration is on the two pictures of ``tmp_path``/pictures."""
    found = []

    def quantize(model, samples, options, *, quiet):
        assert options.learn is None
        found.append(options)
        return random_graph(tokens=5, depth=1)

    def dataset(data, spec):
        files = sorted((tmp_path / "pictures").iterdir())
        samples = [Sample(name=f.name, label=-1, open=partial(open_image, f)) for f in files]
        return Dataset(origin="pictures", calibration=samples, evaluation=[])

    monkeypatch.setattr(bundles, "FOLDER", tmp_path / "bundles")
    monkeypatch.setattr(bundles, "quantize", quantize)
    monkeypatch.setattr(bundles, "open_dataset", dataset)
    monkeypatch.setattr(bundles, "default_dataset", lambda spec: dataset(None, spec))
    for index in range(2):
        picture(tmp_path, index, shade=100 * index)
    return found


def picture(folder, index, shade):
    path = folder / "pictures" / f"{index}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((64, 64), shade, np.uint8)).save(path)


def network(bits="w8a8"):
    return bundles.network("vit_digits", bits, "log2")


def test_a_bundle_is_kept(made):
    first, second = network(), network()
    assert len(made) == 1
    assert first.folder == second.folder
    assert first.graph.tensors.keys() == second.graph.tensors.keys()
    network("w4a8")
    assert len(made) == 2


def test_a_picture_replaced_under_its_name_makes_a_new_bundle(made, tmp_path):
    first = network()
    picture(tmp_path, 1, shade=101)
    second = network()
    assert len(made) == 2
    assert first.folder != second.folder
    picture(tmp_path, 1, shade=100)
    assert network().folder == first.folder
    assert len(made) == 2


@pytest.mark.parametrize("library", bundles.LIBRARIES)
def test_another_release_of_a_library_makes_a_new_bundle(made, monkeypatch, library):
    network()
    version = bundles.version
    monkeypatch.setattr(bundles, "version", lambda n: "99" if n == library else version(n))
    network()
    assert len(made) == 2


def test_other_sources_make_a_new_bundle(made, monkeypatch, tmp_path):
    monkeypatch.setattr(bundles, "SOURCES", tmp_path / "golden")
    nested = tmp_path / "golden" / "quant" / "vit" / "stages.py"
    nested.parent.mkdir(parents=True)
    for text in ("a = 1\n", "a = 1\n", "a = 2\n"):
        nested.write_text(text)
        network()
    assert len(made) == 2


def emptied_manifest(folder):
    (folder / MANIFEST).write_text("")


def no_manifest(folder):
    (folder / MANIFEST).unlink()


def cut_weights(folder):
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:-10])


def no_weights(folder):
    (folder / MODEL).unlink()


def altered_weights(folder):
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:-1] + b"?")


def a_file_instead(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.touch()


@pytest.mark.parametrize(
    "fault",
    [emptied_manifest, no_manifest, cut_weights, no_weights, altered_weights, a_file_instead],
)
def test_a_broken_bundle_is_made_again_and_said(made, capsys, fault):
    folder = network().folder
    assert "broken" not in capsys.readouterr().err
    fault(folder)
    assert network().folder == folder
    assert len(made) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"kept bundle {folder} (")
    assert error.endswith("is broken: it is made again\n")
    assert error.count("\n") == 1
    network()
    assert len(made) == 2
