"""The batched executor against the operators themselves, and its own promises."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from golden import ops
from golden.execute import gemm as exec_gemm
from golden.execute.batched import Executor
from golden.execute.codes import Codes
from golden.execute.gemm import Carrier, Gemm
from golden.execute.layernorm import reciprocal_roots
from golden.execute.narrow import Requantize
from golden.execute.reference import run_reference
from golden.graph import ir
from golden.ops.layernorm import reciprocal_root
from golden.ops.softmax import (
    RULE_CENTRED,
    RULE_FQ,
    RULE_HALF,
    AttnFormat,
    CodeRule,
    ExpForm,
    LogIntSoftmax,
)
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image

VARIANTS = {
    "w8": {},
    "w4": {"bits": 4},
    "w4a4": {"bits": 4, "activations": 4},
    "w4a4 half": {"bits": 4, "activations": 4, "fmt": AttnFormat.HALF, "tokens": 26},
    "w4a4 uniform": {"bits": 4, "activations": 4, "fmt": None},
    "half": {"fmt": AttnFormat.HALF, "tokens": 26, "channels": 48, "heads": 3},
    "uniform": {"fmt": None},
    "iexp": {"form": ExpForm.IEXP, "fmt": AttnFormat.HALF},
    "fq": {"rule": RULE_FQ},
    "odd threshold": {"rule": CodeRule(odd=357)},
    "wide": {"tokens": 50, "channels": 192, "heads": 3, "depth": 1, "classes": 100},
    "no prefix": {"tokens": 16, "prefix": 0, "features": "all"},
    "prefix of three, class features": {"tokens": 19, "prefix": 3, "features": "class"},
    "longest row": {"tokens": 1024, "depth": 1, "patch": 2},
    "long row, half": {"tokens": 290, "depth": 1, "patch": 2, "fmt": AttnFormat.HALF},
}


def images(graph, count, first=0):
    return np.stack([random_image(graph, first + i) for i in range(count)])


@pytest.mark.parametrize("carrier", [None, Carrier.FLOAT32, Carrier.FLOAT64])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_every_edge_equals_the_reference(options, carrier):
    graph = random_graph(**options)
    pixels = images(graph, 3)
    pixels[2] = 0  # an all-black photo
    got = Executor(graph, carrier=carrier, chunk=2).trace(pixels, [n.output for n in graph.nodes])
    compared = 0
    for i, image in enumerate(pixels):
        for name, want in run_reference(graph, image).items():
            assert got[name].dtype == want.dtype
            assert np.array_equal(got[name][i], want), name
            compared += want.size
    assert compared > 10_000


@pytest.mark.parametrize("bits", [8, 4])
def test_same_bits_for_any_batch_chunk_and_thread_count(bits):
    graph = random_graph(tokens=26, channels=48, heads=3, bits=bits, activations=bits)
    pixels = images(graph, 7)
    want = Executor(graph).run(pixels)
    assert want.shape == (7, 10)
    assert want.dtype == np.int32
    for chunk in (1, 3, 7):
        assert np.array_equal(Executor(graph, chunk=chunk).run(pixels), want)
    assert np.array_equal(Executor(graph).run(pixels[3:4]), want[3:4])
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert np.array_equal(Executor(graph, chunk=2).run(pixels), want)
            assert np.array_equal(Executor(graph).run(pixels), want)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("exact", "seconds", "pays"), [(True, 0, True), (True, 2, False),
                                                        (False, 0, False)])  # fmt: skip
def test_the_int8_product_is_used_where_it_is_exact_and_fast(monkeypatch, exact, seconds, pays):
    clock = iter(range(100))
    times = iter(x for i in range(5) for x in (10 * i, 10 * i + seconds))
    later = iter(x for i in range(5) for x in (10 * i, 10 * i + 1))
    monkeypatch.setattr(exec_gemm, "int8_gemm_is_exact", lambda _: exact)
    monkeypatch.setattr(
        exec_gemm.time, "perf_counter", lambda: next(times if next(clock) < 10 else later)
    )
    assert exec_gemm.int8_gemm_pays.__wrapped__("cpu") is pays


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_same_bits_on_an_accelerator(options):
    graph = random_graph(**options)
    pixels = images(graph, 5)
    want = Executor(graph).trace(pixels)
    got = Executor(graph, "cuda").trace(pixels)
    for name in want:
        assert np.array_equal(got[name], want[name]), name


def test_reciprocal_root_of_edges_and_random_variances():
    rng = np.random.default_rng(0)
    edges = [v for b in range(48) for v in ((1 << b) - 1, 1 << b, (1 << b) + 1)]
    random = rng.integers(0, 1 << 48, 3000) >> rng.integers(0, 48, 3000)
    values = np.array([*edges, *random, (1 << 48) - 1], np.int64)
    r, k = reciprocal_roots(torch.tensor(values))
    want = np.array([reciprocal_root(int(v)) for v in values])
    assert np.array_equal(r.numpy(), want[:, 0])
    assert np.array_equal(k.numpy(), want[:, 1])


def test_carriers_follow_the_bound(monkeypatch):
    device = torch.device("cpu")
    small = np.full((4, 1023), 127, np.int8)
    large = np.full((4, 1040), 127, np.int8)
    monkeypatch.setattr(exec_gemm, "int8_gemm_pays", lambda _: False)
    assert Gemm("a", small, None, device).carrier is Carrier.FLOAT32
    gemm = Gemm("a", large, None, device)
    assert gemm.carrier is Carrier.FLOAT64
    x = torch.full((2, 1040), -128, dtype=torch.int8)
    assert gemm(x).unique().tolist() == [-128 * 127 * 1040]


@pytest.mark.parametrize(
    ("fmt", "rule"),
    [
        (AttnFormat.LOG2, RULE_CENTRED),
        (AttnFormat.LOG2, RULE_FQ),
        (AttnFormat.LOG2, CodeRule(odd=357)),
        (AttnFormat.LOG2, CodeRule(odd=511)),
        (AttnFormat.HALF, RULE_HALF),
    ],
)
@pytest.mark.parametrize("form", ExpForm)
@pytest.mark.parametrize(("keys", "bits", "kind"), [(256, 24, "float32"), (1024, 26, "float64")])
def test_codes_at_every_threshold_and_on_a_million_random_rows(fmt, rule, form, keys, bits, kind):
    exps = np.arange(-5, 1)
    node = ir.Softmax(
        name="codes", inputs=("x",), output="codes", logit_exp=exps, form=form, fmt=fmt, rule=rule
    )
    unit = Codes(node, keys, torch.device("cpu"))
    reference = LogIntSoftmax(form=form, fmt=fmt, rule=rule)
    table = np.concatenate([reference.exponential(np.arange(256), e) for e in exps])
    rng = np.random.default_rng(0)
    index = rng.integers(0, table.size, 1_000_000)
    s = rng.integers(1, 1 << bits, index.size) >> rng.integers(0, bits, index.size)
    near_index, near_s = [index], [s]
    every = np.arange(table.size)
    for n in range(16):
        for t in (rule.odd, rule.even, 384, 640, 256 * 3 - 128 // 2**n):
            for offset in (-1, 0, 1, 2):
                near_index.append(every)
                near_s.append(((t * table << n) >> 8) + offset)
    index, s = np.concatenate(near_index), np.concatenate(near_s)
    fits = (s >= np.maximum(table[index], 1)) & (s < 1 << bits)
    index, s = index[fits], s[fits]
    assert index.size > 500_000
    where = torch.tensor(index, dtype=torch.int32)
    e = unit.exponential(where)
    assert np.array_equal(e.numpy(), table[index])
    got = unit.codes(where, e, torch.tensor(s, dtype=getattr(torch, kind)))
    assert np.array_equal(got.numpy(), reference.codes(table[index], s))
    assert set(np.unique(got.numpy())) == set(range(fmt.zero_code + 1))


def test_requantize_for_every_shift():
    rng = np.random.default_rng(1)
    shift = np.arange(-32, 32)
    limit = 2 ** rng.integers(0, 32, (400, 1))
    acc = rng.integers(-limit, limit, (400, 64))
    acc[:, 0], acc[0], acc[1] = 0, 2**31 - 1, -(2**31)
    for bound in (int(np.abs(acc).max()), 2**31 - 1):
        narrow = Requantize(np.full(64, bound), shift, torch.device("cpu"))
        got = narrow(torch.tensor(acc, dtype=torch.int32))
        exact = np.where(shift < 0, np.clip(acc, -128, 127), acc)
        assert np.array_equal(got.numpy(), ops.Requantize().compute(exact, shift))


def changed(graph, name, **fields):
    nodes = tuple(replace(n, **fields) if n.name == name else n for n in graph.nodes)
    assert any(a is not b for a, b in zip(nodes, graph.nodes, strict=True))
    return replace(graph, nodes=nodes)


def test_unsafe_widths_are_refused():
    graph = random_graph()
    node = next(n for n in graph.nodes if n.name == "blocks.0.q")
    bias = node.bias.copy()
    bias[3] = 2**31 - 1000
    with pytest.raises(PotvitError, match=r"blocks.0.q: accumulator may need 33 bits, .* 32"):
        Executor(changed(graph, "blocks.0.q", bias=bias))
    res = next(n for n in graph.nodes if n.name == "blocks.1.res2")
    with pytest.raises(PotvitError, match="res2: aligned sum may need"):
        Executor(changed(graph, "blocks.1.res2", la=res.la + 12))
    norm = next(n for n in graph.nodes if n.name == "norm")
    with pytest.raises(PotvitError, match=r"norm: alpha outside 0..3"):
        Executor(changed(graph, "norm", alpha=norm.alpha + 3))
    head = next(n for n in graph.nodes if n.name == "head")
    with pytest.raises(PotvitError, match="head: logits may need"):
        Executor(changed(graph, "head", la=head.la + 16))
    with pytest.raises(PotvitError, match=r"outside -5\.\.0"):
        Executor(changed(graph, "blocks.0.codes", logit_exp=np.array([-6, 0])))
    codes = next(n for n in graph.nodes if n.name == "blocks.0.codes")
    with pytest.raises(PotvitError, match=r"blocks.0.codes: row sum may need 28 bits, .* 27"):
        Codes(codes, 1026, torch.device("cpu"))
    with pytest.raises(PotvitError, match="another format"):
        Executor(changed(graph, "blocks.0.attn", fmt=AttnFormat.HALF))


def test_wrong_images_edges_and_devices_are_refused():
    graph = random_graph()
    run = Executor(graph)
    pixels = images(graph, 1)
    for wrong in (pixels[:, 1:], pixels.astype(np.int32), pixels[:0], pixels[0]):
        with pytest.raises(PotvitError, match="images must be uint8"):
            run.run(wrong)
    with pytest.raises(PotvitError, match="the graph makes no tensor 'nothing'"):
        run.trace(pixels, ["nothing"])
    with pytest.raises(PotvitError, match="device 'abacus' cannot be used"):
        Executor(graph, "abacus")


def test_a_device_that_rounds_is_refused(monkeypatch):
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b: product(a, b).bfloat16().float())
    with pytest.raises(PotvitError, match="float32 products on cpu are not exact"):
        Executor(random_graph(depth=1))


def test_an_unknown_node_is_refused():
    graph = random_graph()
    odd = ir.Node(name="odd", inputs=("image",), output="odd")
    tensors = {**graph.tensors, "odd": replace(graph.tensors["image"], name="odd")}
    with pytest.raises(PotvitError, match="odd: no executor for a Node node"):
        Executor(replace(graph, tensors=tensors, nodes=(odd, *graph.nodes)))
