"""The compiled kernels against the operators, and what happens where they cannot be had."""

import ctypes
import itertools
import re
import shutil

import numpy as np
import pytest
import torch

from golden.execute.batched import Executor
from golden.execute.kernel import build, library
from golden.execute.kernel.attention import AttentionJob, AttentionKernel
from golden.execute.kernel.linear import LinearJob, LinearKernel
from golden.execute.kernel.norm import NormJob, NormKernel
from golden.execute.narrow import Requantize, ResidualAdd
from golden.execute.reference import compute_node, run_reference
from golden.graph import ir
from golden.ops.softmax import RULE_CENTRED, RULE_FQ, RULE_HALF, AttnFormat, ExpForm
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from golden.synthetic.swin import random_swin_graph

CPU = torch.device("cpu")

pytestmark = pytest.mark.needs("kernels")

GRAPHS = {
    "w8": lambda: random_graph(),
    "w4a4 half": lambda: random_graph(
        bits=4, activations=4, fmt=AttnFormat.HALF, tokens=26, channels=48, heads=3
    ),
    "iexp, fq": lambda: random_graph(form=ExpForm.IEXP, rule=RULE_FQ),
    "wide": lambda: random_graph(tokens=50, channels=192, heads=3, depth=1, classes=100),
    "long row": lambda: random_graph(tokens=290, depth=1, patch=2),
    "windows": lambda: random_swin_graph(),
    "windows, half, padded": lambda: random_swin_graph(
        bits=4, fmt=AttnFormat.HALF, grid=(7, 10), depths=(2, 1, 2)
    ),
}


@pytest.fixture(scope="module")
def kernels():
    found = library.kernels(CPU)
    assert found is not None, "the kernels are switched off or cannot be compiled"
    return found


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_fused_stages_equal_the_reference(kernels, make):
    graph = make()
    pixels = np.stack([random_image(graph, i) for i in range(3)])
    executor = Executor(graph, chunk=2)
    stages = [stage for stage in executor._stages if stage.fused is not None]
    kinds = {type(node) for stage in stages for node in stage.nodes}
    assert kinds >= {ir.PatchEmbed, ir.Linear, ir.Scores, ir.Softmax, ir.AttnValue, ir.Gelu,
                     ir.LayerNorm}  # fmt: skip
    inner = set().union(*(stage.inner for stage in stages))
    keep = [node.output for node in graph.nodes if node.output not in inner]
    got = executor.trace(pixels, keep)
    for i, image in enumerate(pixels):
        want = run_reference(graph, image)
        for name in keep:
            assert got[name].dtype == want[name].dtype
            assert np.array_equal(got[name][i], want[name]), name


def compare_linear(kernels, rows, inner, columns, seed=0):
    """All kinds of linear layers of one size, extreme operands among them."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (rows, inner)).astype(np.int8)
    weight = rng.integers(-128, 128, (columns, inner)).astype(np.int8)
    weight[0], weight[-1], x[0], x[-1] = -128, 127, -128, 127
    bias = rng.integers(-(1 << 20), 1 << 20, columns).astype(np.int32)
    acc = x.astype(np.int64) @ weight.T.astype(np.int64) + bias
    bound = 128 * np.abs(weight.astype(np.int64)).sum(1) + np.abs(bias)
    shift = rng.integers(-3, 32, columns)
    table = rng.integers(-128, 128, 256).astype(np.int8)
    old = rng.integers(-128, 128, (rows, columns)).astype(np.int8)
    la, lo = rng.integers(0, 3, columns), rng.integers(0, 20, columns)
    where = torch.from_numpy(x)

    assert np.array_equal(LinearKernel(kernels, weight, bias)(where).numpy(), acc)
    for bits in (8, 4):
        narrow = Requantize(bound, shift, CPU, bits)
        assert LinearKernel.fits(narrow)
        want = narrow(torch.from_numpy(acc.astype(np.int32)))
        assert torch.equal(LinearKernel(kernels, weight, bias, narrow=narrow)(where), want)
        if columns > 15:
            assert {-1 << (bits - 1), (1 << (bits - 1)) - 1} <= set(want.unique().tolist())
        made = LinearKernel(kernels, weight, bias, narrow=narrow, table=table)(where)
        assert np.array_equal(made, table[want.numpy().astype(int) + 128])
    add = ResidualAdd("r", bound, np.full(columns, 128), la, lo, np.minimum(shift, 24), CPU)
    both = torch.from_numpy(acc.astype(np.int32)), torch.from_numpy(old)
    assert torch.equal(LinearKernel(kernels, weight, bias, add=add)(where, both[1]), add(*both))
    alone = add(both[0], torch.zeros(1, dtype=torch.int32))
    assert torch.equal(LinearKernel(kernels, weight, bias, add=add)(where), alone)


@pytest.mark.parametrize(("inner", "columns"), [(1, 1), (2, 16), (3, 17), (64, 33), (193, 48)])
def test_linear_layers_of_any_size(kernels, inner, columns):
    for rows in (1, 5, 6, 7, 13):
        compare_linear(kernels, rows, inner, columns, seed=rows)
    compare_linear(kernels, 400, inner, columns)  # more than a block


def attention(tokens, heads, width, fmt, rule, form=ExpForm.BASE2, out_bits=8, seed=0):
    """Nodes of one attention and operands that saturate logits and reach every distance."""
    rng = np.random.default_rng(seed)
    scores = ir.Scores(name="s", inputs=("q", "k"), output="l", heads=heads,
                       shift=rng.integers(0, 9, heads).astype(np.int32))  # fmt: skip
    softmax = ir.Softmax(name="m", inputs=("l",), output="c", form=form, fmt=fmt, rule=rule,
                         logit_exp=rng.integers(-5, 1, heads).astype(np.int32))  # fmt: skip
    value = ir.AttnValue(name="v", inputs=("c", "v"), output="o", heads=heads, fmt=fmt,
                         shift=rng.choice([-17, -3, -2, -1, 0, 1], heads).astype(np.int32),
                         out_bits=out_bits)  # fmt: skip
    q, k, v = rng.integers(-128, 128, (3, 2, tokens, heads * width)).astype(np.int8)
    q[0], k[0] = np.clip(q[0] // 16, -8, 7), np.clip(k[0] // 16, -8, 7)
    v[:, 0] = -128
    return (scores, softmax, value), (q, k, v)


def compare_attention(kernels, nodes, operands):
    scores, softmax, value = nodes
    q, k, v = operands
    base = 14 if value.fmt is AttnFormat.LOG2 else 15
    shift = value.shift[:, None, None] + base
    narrow = Requantize(np.full(shift.shape, 1 << 23), shift, CPU, value.out_bits)
    assert AttentionKernel.fits(scores, softmax, narrow, q.shape[-1])
    kernel = AttentionKernel(kernels, scores, softmax, narrow, q.shape[1:])
    got = kernel(*map(torch.from_numpy, operands)).numpy()
    for i in range(len(q)):
        codes = compute_node(softmax, [compute_node(scores, [q[i], k[i]])])
        assert np.array_equal(got[i], compute_node(value, [codes, v[i]]))
    return got


@pytest.mark.parametrize(("fmt", "rule"), [(AttnFormat.LOG2, RULE_CENTRED),
                                           (AttnFormat.LOG2, RULE_FQ),
                                           (AttnFormat.HALF, RULE_HALF)])  # fmt: skip
@pytest.mark.parametrize("form", ExpForm)
def test_attention_of_any_size(kernels, fmt, rule, form):
    sizes = [(1, 1, 1), (2, 2, 3), (17, 1, 5), (49, 3, 32), (130, 2, 17), (300, 1, 64)]
    for seed, (tokens, heads, width) in enumerate(sizes):
        for out_bits in (8, 4):
            nodes, operands = attention(tokens, heads, width, fmt, rule, form, out_bits, seed)
            compare_attention(kernels, nodes, operands)


def compare_norm(kernels, channels, bits=8):
    rng = np.random.default_rng(channels)
    node = ir.LayerNorm(
        name="n", inputs=("x",), output="y", alpha=rng.integers(0, 4, channels),
        gamma=rng.integers(-(1 << 13), 1 << 13, channels),
        beta=rng.integers(-(1 << 26), 1 << 26, channels), shift=22, out_bits=bits,
    )  # fmt: skip
    q = rng.integers(-128, 128, (9, channels)).astype(np.int8)
    q[0], q[1], q[2] = 0, -128, 127
    q[3], q[4] = rng.integers(-1, 2, (2, channels))
    got = NormKernel(kernels, node)(torch.from_numpy(q))
    assert np.array_equal(got.numpy(), compute_node(node, [q]))


@pytest.mark.parametrize("channels", [1, 2, 7, 64, 192, 1536])
def test_layer_norms_of_any_size(kernels, channels):
    for bits in (8, 4):
        compare_norm(kernels, channels, bits)


#: A fault in each source, and a comparison that must find it.
FAULTS = {
    "linear.cpp": ("0 : 128) + 16", "0 : 112) + 16", lambda k: compare_linear(k, 7, 64, 33)),
    "attention.cpp": ("set1_epi16(181)", "set1_epi16(180)", lambda k: compare_attention(
        k, *attention(130, 4, 17, AttnFormat.HALF, RULE_HALF))),
    "norm.cpp": ("* factor + 0.5", "* factor", lambda k: compare_norm(k, 192)),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(monkeypatch, tmp_path, name):
    before, after, comparison = FAULTS[name]
    folder = shutil.copytree(build.SOURCES[0].parent, tmp_path / "source")
    text = (folder / name).read_text()
    assert text.count(before) == 1
    (folder / name).write_text(text.replace(before, after))
    monkeypatch.setattr(build, "SOURCES", (folder / "tile.h", folder / name))
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    with pytest.raises(AssertionError):
        comparison(library.Library())


@pytest.mark.parametrize("job", [LinearJob, AttentionJob, NormJob])
def test_jobs_mirror_the_source(kernels, job):
    """As large, with as many members, in the same order."""
    assert kernels.job_bytes(job.__name__.removesuffix("Job").lower()) == ctypes.sizeof(job)
    source = build.SOURCES[0].with_name(f"{job.__name__.removesuffix('Job').lower()}.cpp")
    (body,) = re.findall(rf"struct {job.__name__} \{{(.*?)\n\}};", source.read_text(), re.S)
    members = re.sub(r"//.*", "", body)
    names = re.findall(r"(\w+)\s*[,;]", members)
    assert names == [name for name, _ in job._fields_]


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty cache, quick sources, and the number of compilations so far."""
    runs = []
    real = build.subprocess.run
    source = tmp_path / "one.cpp"
    source.write_text('extern "C" int potvit_one() { return 1; }\n')
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "SOURCES", (source,))
    monkeypatch.setattr(build.subprocess, "run", lambda *a, **k: (runs.append(a), real(*a, **k))[1])
    library._library.cache_clear()
    yield runs
    library._library.cache_clear()


def test_a_library_is_kept_by_what_made_it(fresh, monkeypatch, capsys):
    first = build.library_file()
    assert ctypes.CDLL(str(first)).potvit_one() == 1
    assert build.library_file() == first
    assert len(fresh) == 1
    with monkeypatch.context() as other:
        other.setattr(build, "compiler_fingerprint", lambda: ["another processor"])
        assert build.library_file() != first
    build.SOURCES[0].write_text('extern "C" int potvit_one() { return 2; }\n')
    assert ctypes.CDLL(str(build.library_file())).potvit_one() == 2
    assert len(fresh) == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damage", [b"", b"\x7fELF and no more", None])
def test_a_broken_library_is_made_again(fresh, capsys, damage):
    made = build.library_file()
    if damage is None:
        made.with_suffix(".sha256").unlink()
    else:
        made.unlink()  # a process may have it mapped
        made.write_bytes(damage)
    assert build.library_file() == made
    assert len(fresh) == 2
    assert re.search(
        r"^kept library .*\.so is broken: it is made again\n$", capsys.readouterr().err
    )
    assert ctypes.CDLL(str(made)).potvit_one() == 1


def test_without_a_compiler_the_bits_are_the_same(kernels, fresh, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    for _ in range(2):
        assert library.kernels(CPU) is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("the executor runs without its compiled kernels, more slowly: g++ is")
    graph = random_graph()
    assert all(stage.fused is None for stage in Executor(graph)._stages)


def test_a_compiler_that_fails_is_told_in_one_line(fresh, capsys):
    build.SOURCES[0].write_text("int broken(\n")
    assert library.kernels(CPU) is None
    said = capsys.readouterr().err
    assert re.fullmatch(r"the executor runs without .*: g\+\+ failed: .*one\.cpp.*error.*\n", said)
    assert not list(build.CACHE.glob("*.so"))


@pytest.mark.parametrize("value", ["0", "1", "", "no"])
def test_the_switch(kernels, monkeypatch, value):
    monkeypatch.setenv(library.SWITCH, value)
    if value == "no":
        with pytest.raises(PotvitError, match="POTVIT_KERNELS=no: give 1"):
            library.kernels(CPU)
    else:
        assert (library.kernels(CPU) is None) == (value == "0")
    monkeypatch.delenv(library.SWITCH)
    assert library.kernels(torch.device("meta")) is None


def test_sizes_that_the_kernels_leave_to_the_other_steps(kernels):
    (scores, softmax, _), _ = attention(17, 1, 5, AttnFormat.LOG2, RULE_CENTRED)
    narrow = Requantize(np.array([1 << 23]), np.array([14]), CPU)
    assert AttentionKernel.fits(scores, softmax, narrow, 5)
    wide = Requantize(np.array([(1 << 31) - 1]), np.array([31]), CPU)
    assert not LinearKernel.fits(wide)
    for wrong in (
        (scores, softmax, wide),
        (ir.Scores(name="s", inputs=("q", "k"), output="l", heads=1, shift=np.array([-1])),
         softmax, narrow),
        (scores, ir.Softmax(name="m", inputs=("l",), output="c", logit_exp=np.array([0]),
                            fmt=None), narrow),
        (scores, ir.Softmax(name="m", inputs=("l",), output="c", logit_exp=np.array([0]),
                            masked=True), narrow),
    ):  # fmt: skip
        assert not AttentionKernel.fits(*wrong, 5)


def test_an_edge_inside_a_kernel_is_made_by_the_steps(kernels):
    graph = random_graph()
    pixels = np.stack([random_image(graph, i) for i in range(2)])
    executor = Executor(graph)
    inner = set().union(*(s.inner for s in executor._stages if s.fused is not None))
    assert inner
    want = run_reference(graph, pixels[1])
    for name in itertools.islice(sorted(inner), 4):
        assert np.array_equal(executor.trace(pixels, [name])[name][1], want[name])
