"""The accuracy study: rows resume, the document lists what was run, bad names are refused."""

import json

import numpy as np
import pytest

from golden.commands import study as command
from golden.evaluation import measures, study
from golden.evaluation.study_rows import ROWS, select
from golden.graph import ir
from golden.quant import QuantOptions, quantize_pixels
from golden.support.errors import PotvitError

ARGUMENTS = ["--model", "vit_digits", "--data", "digits", "--calib", "12", "--limit", "20"]


def run(tmp_path, *words):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = tmp_path / "accuracy.md"
    return command.run(parser.parse_args([*words, *ARGUMENTS, "--out", str(out)])), out


def test_rows_are_kept_and_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "FOLDER", tmp_path / "study")
    status, out = run(tmp_path, "defaults-w8a8-4-bit")
    assert status == 0
    (row,) = (tmp_path / "study").glob("*.json")
    found = json.loads(row.read_text())
    assert found["agreement"] >= 85
    assert f"| w8a8, 4-bit codes | {found['top1']:.2f} |" in out.read_text()
    assert f"Machine: {found['machine']}.\n\n## Defaults" in out.read_text()
    found["top1"] = 12.5
    del found["machine"]
    row.write_text(json.dumps(found))
    run(tmp_path, "defaults-w8a8-4-bit")
    assert "| w8a8, 4-bit codes | 12.50 |" in out.read_text()
    assert "Machine: not recorded." in out.read_text()
    run(tmp_path, "defaults-w8a8-4-bit", "--fresh")
    assert "| 12.50 |" not in out.read_text()


def test_rows_of_other_pictures_or_other_sources_are_told_apart(
    tmp_path, monkeypatch, capsys, caplog
):
    def told():
        """Notes so far, whichever way this process shows them."""
        return capsys.readouterr().err + caplog.text

    monkeypatch.setattr(study, "FOLDER", tmp_path / "study")
    made = []
    monkeypatch.setattr(study, "quantize_pixels", lambda *a: made.append(1) or graph)
    graph = quantize_pixels(
        study.load_model("vit_digits"), np.full((1, 64, 64, 1), 7, np.uint8), QuantOptions()
    )
    words = ("defaults-w8a8-4-bit",)
    run(tmp_path, *words)
    once = len(made)
    run(tmp_path, *words)
    assert len(made) == once > 0
    assert "other sources" not in told()
    monkeypatch.setattr(command, "sources", lambda: "another")
    run(tmp_path, *words)
    assert len(made) == once
    assert "1 of them were made by other sources" in told()
    pixels_of = study.pixels_of
    monkeypatch.setattr(study, "pixels_of", lambda *a: pixels_of(*a) ^ 1)
    run(tmp_path, *words)
    assert len(made) == 2 * once


def test_subsets_give_mean_and_range(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "FOLDER", tmp_path / "study")
    status, out = run(tmp_path, "defaults-w8a8-4-bit", "--subsets", "2")
    assert status == 0
    halves = sorted((tmp_path / "study").glob("*-half*.json"))
    found = [json.loads(path.read_text()) for path in halves]
    assert len(found) == 2
    low, high = sorted(one["sqnr"] for one in found)
    assert low < high
    line = next(x for x in out.read_text().split("\n") if x.startswith("| w8a8, 4-bit codes | 2 |"))
    assert f"{(low + high) / 2:.2f} ({low:.2f} to {high:.2f})" in line
    assert found[0]["machine"] in out.read_text()


def test_unknown_row():
    with pytest.raises(PotvitError, match="no study row matches nonsense"):
        select(["nonsense"])


def test_every_row_has_valid_options_of_its_own():
    options = [str(row.options().to_dict()) for row in ROWS]
    assert len(set(options)) == len(ROWS)
    assert len({row.slug for row in ROWS}) == len(ROWS)


def test_codes_off_counts_a_wrong_exponential(monkeypatch):
    from golden.synthetic.graphs import random_graph, random_image

    graph = random_graph(depth=1)
    image = random_image(graph, 0)[None]
    base = measures.codes_off(graph, image)
    assert base is not None
    assert base < 3
    wrong = [
        node if not isinstance(node, ir.Softmax) else _with(node, logit_exp=node.logit_exp - 1)
        for node in graph.nodes
    ]
    traced = measures.Executor(graph).trace

    class Stuck:
        def __init__(self, _graph):
            pass

        trace = staticmethod(traced)

    monkeypatch.setattr(measures, "Executor", Stuck)
    off = measures.codes_off(_with(graph, nodes=tuple(wrong)), image)
    assert off is not None
    assert off > 10


def _with(value, **changes):
    from dataclasses import replace

    return replace(value, **changes)


def test_sqnr_is_power_over_error():
    wanted = np.array([[3.0, 4.0]])
    assert measures.sqnr(np.array([[3.5, 4.0]]), wanted) == pytest.approx(20)


def test_a_document_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "FOLDER", tmp_path / "study")
    (tmp_path / "accuracy.md").mkdir()
    with pytest.raises(PotvitError, match="is a folder"):
        run(tmp_path, "defaults-w8a8-4-bit")
    assert not (tmp_path / "study").exists()
