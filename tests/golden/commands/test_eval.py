"""Evaluation, ledger, and the eval and export commands, on the embedded model."""

import hashlib
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from golden.__main__ import COMMANDS
from golden.data.datasets import open_dataset
from golden.evaluation.evaluate import evaluate, ranked
from golden.evaluation.ledger import _undone, ledger, sqnr_db
from golden.execute.batched import Executor
from golden.execute.reference import run_reference
from golden.graph import ir
from golden.graph.bundle import load_bundle, load_streams
from golden.models.float_trace import float_trace
from golden.models.load import load_model
from golden.ops.softmax import AttnFormat
from golden.quant import QuantOptions, quantize
from golden.support.command_line import main

CALIB = "40"
FIELDS = [
    *("model", "bits", "attn", "weights", "images", "fp_top1", "fp_top5", "int_top1", "int_top5"),
    *("agreement", "images_per_second", "fp_images_per_second"),
]


@pytest.fixture(scope="module")
def digits():
    model = load_model("vit_digits")
    data = open_dataset(None, model.spec)
    graph = quantize(model, data.calib(int(CALIB)))
    return model, data, graph


def golden(*arguments):
    return main("golden", COMMANDS, [str(a) for a in arguments])


def test_ties_go_to_the_lowest_class():
    logits = np.array([[5, 7, 7, 1, 7, 0], [0, 0, 0, 0, 0, 0]])
    assert ranked(logits).tolist() == [[1, 2, 4, 0, 3], [0, 1, 2, 3, 4]]
    extreme = np.array([[-(2**31), 2**31 - 1, 2**31 - 2]], np.int32)
    assert ranked(extreme).tolist() == [[1, 2, 0]]


def test_sqnr_by_hand():
    assert sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == 20.0
    assert sqnr_db(np.ones(3), np.ones(3)) is None


def test_float_trace_follows_the_network(digits):
    model, data, graph = digits
    pixels = np.stack([s.pixels(model.spec.preprocess) for s in data.eval_samples(3)])
    inputs = model.spec.preprocess.normalize(pixels)
    trace = float_trace(model.module, inputs)
    with torch.inference_mode():
        assert torch.equal(trace["logits"][:, 0], model.module(inputs))
    for name, tensor in graph.tensors.items():
        if not name.endswith(("acc", "image", "select")):
            assert tuple(trace[name].shape[1:]) == tensor.shape, name
    # Probabilities times values is what the projection reads.
    v = trace["blocks.1.v"].unflatten(-1, (3, -1)).transpose(1, 2)
    product = (trace["blocks.1.codes"] @ v).transpose(1, 2).flatten(2)
    assert torch.allclose(product, trace["blocks.1.attn"], atol=1e-5)
    assert not model.module.norm._forward_hooks


def test_ledger_names_every_tensor_and_sees_a_fault(digits):
    model, data, graph = digits
    pixels = np.stack([s.pixels(model.spec.preprocess) for s in data.eval_samples(8)])
    entries = {e["tensor"]: e for e in ledger(model, Executor(graph), pixels)}
    want = {t.name for t in graph.stored()} | {f"blocks.{i}.fc1" for i in range(3)}
    assert entries.keys() == want
    assert all(math.isfinite(e["sqnr_db"]) and e["elements"] > 0 for e in entries.values())
    assert entries["embed"]["sqnr_db"] > 30
    assert min(e["sqnr_db"] for n, e in entries.items() if "codes" not in n) > 8
    # One wrong shift in block 1 must show there and not before.
    nodes = tuple(
        replace(n, shift=n.shift + 1) if n.name == "blocks.1.k" else n for n in graph.nodes
    )
    broken = ledger(model, Executor(replace(graph, nodes=nodes)), pixels)
    changed = {e["tensor"] for e in broken if e != entries[e["tensor"]]}
    assert {"blocks.1.k", "blocks.1.scores", "logits"} <= changed
    assert not any(name.startswith("blocks.0") for name in changed)
    worse = {e["tensor"]: e["sqnr_db"] for e in broken}
    assert worse["blocks.1.k"] < 10 < entries["blocks.1.k"]["sqnr_db"]


def test_ledger_undoes_what_later_layers_undo_and_nothing_else():
    rng = np.random.default_rng(0)
    turn, shift, row = rng.integers(-3, 4, 8), rng.normal(size=8), rng.normal(size=(2, 3, 5, 1))
    exact = {f"b.{n}": rng.normal(size=(2, 5, 8)) for n in ("q", "k", "v", "attn")}
    exact["b.scores"] = rng.normal(size=(2, 3, 5, 5))
    kept = {
        "b.q": np.ldexp(exact["b.q"], turn),
        "b.k": np.ldexp(exact["b.k"] - shift, -turn),
        "b.v": np.ldexp(exact["b.v"] - shift, turn),
        "b.attn": np.ldexp(exact["b.attn"] - shift, turn),
        "b.scores": exact["b.scores"] + row,
    }
    factors = {}
    for name, value in kept.items():
        assert np.allclose(_undone(name, value, exact[name], factors), exact[name]), name
    for name in ("b.k", "b.attn", "b.scores"):  # a wrong exponent shows
        wrong = _undone(name, 2 * kept[name], exact[name], factors)
        assert sqnr_db(exact[name], wrong) < 3


def test_evaluation_counts_pictures(digits):
    model, data, graph = digits
    samples = data.eval_samples(50)
    accuracy = evaluate(model, Executor(graph), samples, batch=16)
    assert accuracy.images == 50
    assert accuracy.int_top1 is not None
    assert accuracy.int_top1 >= 94
    assert accuracy.fp_top5 == 100
    # Another last bias makes class 3 win always: accuracy is its share, agreement too.
    head = graph.nodes[-1]
    assert isinstance(head, ir.Head)
    bias = head.bias.copy()
    bias[3] += 1 << 24
    nodes = (*graph.nodes[:-1], replace(head, bias=bias))
    blind = evaluate(model, Executor(replace(graph, nodes=nodes)), samples, batch=7)
    share = 100 * np.mean([s.label == 3 for s in samples])
    assert blind.int_top1 == round(share, 3)
    assert blind.int_top1 < 40
    assert blind.fp_top1 == accuracy.fp_top1
    alone = evaluate(model, None, samples)
    assert alone.int_top1 is None
    assert alone.fp_top1 == accuracy.fp_top1


@pytest.mark.parametrize(
    ("flags", "bits", "attn"),
    [
        (["--quant", "--ptf", "--lis", "--quant-method", "minmax"], "w8a8", "log2"),
        (["--quant", "--ptf", "--lis", "--attn", "half", "--bits", "w4a8"], "w4a8", "half"),
        (["--quant", "--ptf"], "w8a8", "uniform"),
        (["--quant"], "w8a8", "uniform"),
        ([], "w8a8", "log2"),
        (["--float"], "fp32", None),
    ],
)
def test_eval_writes_its_report(tmp_path, monkeypatch, capsys, flags, bits, attn):
    monkeypatch.chdir(tmp_path)
    flags = flags if flags == ["--float"] else [*flags, "--calib", CALIB]
    assert golden("eval", "vit_digits", *flags, "--limit", 40) == 0
    name = f"vit_digits-{bits}-{attn}" if attn else f"vit_digits-{bits}"
    report = json.loads((tmp_path / "build" / "eval" / f"{name}.json").read_text())
    assert list(report)[: len(FIELDS)] == FIELDS
    assert (report["model"], report["bits"], report["attn"]) == ("vit_digits", bits, attn)
    assert report["weights"] == "bundled"
    assert report["images"] == 40
    assert report["fp_top1"] >= 95
    assert report["fp_images_per_second"] > 0
    out = capsys.readouterr().out
    assert name in out
    if attn is None:
        assert report["int_top1"] is None
        assert report["ledger"] == []
    else:
        assert report["int_top1"] >= 90
        assert report["images_per_second"] > 0
        assert len(report["ledger"]) > 30
        assert "lowest SQNR" in out


def test_the_seed_projects_flags(tmp_path, capsys):
    """FQ-ViT's batches, workers, seed and running accuracy; P2-ViT's calibration on noise."""

    def exported(*flags):
        assert golden("export", "vit_digits", *flags, "--out", tmp_path / "b") == 0
        return load_bundle(tmp_path / "b").meta["calibration"]

    assert len(exported("--calib-batchsize", 5, "--calib-iter", 3)) == 15
    assert len(exported("--calib-batchsize", 500, "--calib-iter", 9)) == 1000  # of 1352
    drawn = exported("--calib", 9, "--seed", 1)
    assert drawn == exported("--calib", 9, "--seed", 1)
    assert drawn != exported("--calib", 9)
    assert exported("--mode", 1, "--calib", 2, "--seed", 7) == ["noise/7/0000", "noise/7/0001"]
    capsys.readouterr()
    out = tmp_path / "r.json"
    flags = ["--quant", "--ptf", "--lis", "--calib", 8, "--device", "cpu", "--num-workers", 2]
    flags += ["--limit", 20, "--val-batchsize", 8, "--print-freq", 2, "--out", out]
    assert golden("eval", "vit_digits", *flags) == 0
    report = json.loads(out.read_text())
    lines = [line for line in capsys.readouterr().out.splitlines() if "/20: top-1" in line]
    assert len(lines) == 1  # three batches
    assert lines[0].startswith("16/20: top-1 ")
    assert report["images"] == 20


def test_a_bit_map_file_names_its_report(tmp_path):
    (tmp_path / "mixed.json").write_text('{"blocks.*.fc1": 4}')
    out = tmp_path / "report.json"
    flags = ["--quant", "--ptf", "--lis", "--bits", tmp_path / "mixed.json"]
    assert golden("eval", "vit_digits", *flags, "--calib", 8, "--limit", 8, "--out", out) == 0
    assert json.loads(out.read_text())["bits"] == "mixed"


def test_export_gives_a_bundle_with_tensors_and_the_same_bytes_again(tmp_path, capsys):
    for name in "ab":
        done = golden(
            "export", "vit_digits", "--calib", CALIB, "--tensors", 2, "--out", tmp_path / name
        )
        assert done == 0
        assert "2 pictures" in capsys.readouterr().out
    digests = [
        {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / n).iterdir()}
        for n in "ab"
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 4
    graph = load_bundle(tmp_path / "a")
    assert graph.meta["model"] == "vit_digits"
    assert len(graph.meta["calibration"]) == int(CALIB)
    assert len(graph.meta["streams"]) == 2
    for index in range(2):
        streams = load_streams(tmp_path / "a", index)
        assert streams.keys() == graph.tensors.keys()
        for name, value in run_reference(graph, streams["image"]).items():
            assert np.array_equal(value, streams[name]), name


DATA = os.environ.get("POTVIT_DATA", "")


@pytest.mark.skipif(not DATA, reason="POTVIT_DATA is not set")
@pytest.mark.parametrize("attn", ["log2", "half"])
def test_deit_tiny_executor_equals_the_operators_on_a_real_photo(attn):
    model = load_model("deit_tiny", quiet=True)
    data = open_dataset(Path(DATA) / "photos", model.spec)
    plain = QuantOptions(
        attn=attn, smoothing=None, rounding="nearest", refit=False, bias_correction=False
    )
    graph = quantize(model, data.calib(2), plain)
    pixels = np.stack([s.pixels(model.spec.preprocess) for s in data.eval_samples(1)])
    pixels = np.concatenate([pixels, np.zeros_like(pixels)])  # and an all-black photo
    got = Executor(graph).trace(pixels, [n.output for n in graph.nodes])
    compared = 0
    for i in range(2):
        for name, want in run_reference(graph, pixels[i]).items():
            assert np.array_equal(got[name][i], want), name
            compared += want.size
    assert compared > 10_000_000
    # LayerNorm on a trained network's tensors against 80-bit floats rounded once: 0.02 % off.
    off = []
    for node in (n for n in graph.nodes if isinstance(n, ir.LayerNorm)):
        x = (got[node.inputs[0]][:1].astype(np.int64) << node.alpha).astype(np.longdouble)
        x -= x.mean(-1, keepdims=True)
        y = x / np.sqrt(np.square(x).mean(-1, keepdims=True)) * node.gamma * 65536 + node.beta
        want = np.clip(np.floor(y / np.longdouble(2.0**node.shift) + 0.5), -128, 127)
        off.append(np.abs(want - got[node.output][:1]).ravel())
    assert np.concatenate(off).max() <= 1
    assert np.concatenate(off).mean() <= 0.001
    zero = AttnFormat(attn).zero_code
    codes = np.concatenate([v[0].ravel() for n, v in got.items() if n.endswith("codes")])
    assert set(np.unique(codes)) == set(range(zero + 1))


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="POTVIT_DATA is not set")
def test_deit_tiny_runs_at_half_the_float_speed_or_more():
    model = load_model("deit_tiny", quiet=True)
    data = open_dataset(Path(DATA) / "photos", model.spec)
    graph = quantize(model, data.calib(4))
    accuracy = evaluate(model, Executor(graph), data.eval_samples(32))
    assert accuracy.images_per_second is not None
    assert accuracy.images_per_second >= 0.5 * accuracy.fp_images_per_second
