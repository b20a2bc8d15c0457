"""Random Swin graphs: executor against reference, bundles, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from golden.execute.batched import Executor
from golden.execute.gemm import Carrier
from golden.execute.reference import run_reference
from golden.graph import ir
from golden.graph.bundle import load_bundle, save_bundle
from golden.graph.check import check_graph
from golden.ops.softmax import RULE_FQ, AttnFormat, ExpForm
from golden.ops.windows import Windows
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_image
from golden.synthetic.swin import random_swin_graph

VARIANTS = {
    "w8": {},
    "w4": {"bits": 4, "fmt": AttnFormat.HALF},
    "padded": {"grid": (7, 10), "depths": (2, 1, 2), "form": ExpForm.IEXP},
    "odd, below the window": {"grid": (3, 9), "window": 5, "channels": 24, "rule": RULE_FQ},
    "uniform": {"grid": (9, 5), "fmt": None},
    "seven": {"grid": (14, 14), "window": 7, "depths": (2,), "channels": 8},
}


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def case(request):
    graph = random_swin_graph(**request.param)
    pixels = np.stack([random_image(graph, i) for i in range(3)])
    pixels[2] = 0  # an all-black photo
    return graph, pixels, [run_reference(graph, image) for image in pixels]


@pytest.mark.parametrize("carrier", [None, Carrier.FLOAT32, Carrier.FLOAT64])
def test_every_edge_equals_the_reference(case, carrier):
    graph, pixels, want = case
    got = Executor(graph, carrier=carrier, chunk=2).trace(pixels, [n.output for n in graph.nodes])
    compared = 0
    for i, values in enumerate(want):
        for name, value in values.items():
            assert got[name].dtype == value.dtype
            assert np.array_equal(got[name][i], value), name
            compared += value.size
    assert compared > 20_000


def test_what_the_graphs_are_for_occurs(case):
    """Codes from 0 to the zero code, both saturations, and masks wherever a shift is."""
    graph, _, want = case
    codes, scores, masks = set(), set(), 0
    for node in graph.nodes:
        values = np.concatenate([np.ravel(v[node.output]) for v in want])
        if isinstance(node, ir.Softmax):
            codes |= set(np.unique(values).tolist())
        if isinstance(node, ir.Scores):
            scores |= set(np.unique(values).tolist())
            masks += node.windows.masks
            masked = np.broadcast_to(
                node.windows.masked()[:, None], graph.tensors[node.output].shape
            )
            for value in want:
                marked = value[node.output] == -128
                assert np.array_equal(marked, masked) or not node.windows.masks
    softmax = next(n for n in graph.nodes if isinstance(n, ir.Softmax))
    if softmax.fmt is not None:
        assert codes == set(range(softmax.fmt.zero_code + 1))
    assert {-128, 127} <= scores
    assert masks == sum(any(n.windows.shift) for n in graph.nodes if isinstance(n, ir.Scores)) > 0


def test_same_bits_for_any_batch_chunk_and_thread_count():
    graph = random_swin_graph(grid=(6, 7))
    pixels = np.stack([random_image(graph, i) for i in range(7)])
    want = Executor(graph).run(pixels)
    assert want.shape == (7, 10)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            for chunk in (1, 3, 7, None):
                assert np.array_equal(Executor(graph, chunk=chunk).run(pixels), want)
            assert np.array_equal(Executor(graph).run(pixels[3:4]), want[3:4])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_same_bits_on_an_accelerator(options):
    graph = random_swin_graph(**options)
    pixels = np.stack([random_image(graph, i) for i in range(5)])
    want = Executor(graph).trace(pixels)
    got = Executor(graph, "cuda").trace(pixels)
    for name in want:
        assert np.array_equal(got[name], want[name]), name


def test_bundle_round_trip(tmp_path):
    graph = random_swin_graph(grid=(7, 10))
    pixels = random_image(graph, 0)
    save_bundle(graph, tmp_path / "a")
    again = load_bundle(tmp_path / "a")
    for a, b in zip(graph.nodes, again.nodes, strict=True):
        assert type(a) is type(b)
        for name, value in vars(a).items():
            assert np.array_equal(getattr(b, name), value) if value is not None else True
            assert type(getattr(b, name)) is type(value) or isinstance(value, np.integer)
    save_bundle(again, tmp_path / "b")
    for part in ("manifest.json", "model.safetensors"):
        assert (tmp_path / "a" / part).read_bytes() == (tmp_path / "b" / part).read_bytes()
    assert np.array_equal(Executor(again).run(pixels[None]), Executor(graph).run(pixels[None]))


def test_names_views_and_checkpoints():
    graph = random_swin_graph(depths=(1, 2))
    per_block = ("ln1", "q", "k", "v", "scores", "codes", "attn", "res1", "ln2", "gelu", "res2")
    wanted = {"embed", "embed.norm", "blocks.1.ln0", "blocks.1.res0", "norm", "pool", "logits"}
    wanted |= {f"blocks.{i}.{name}" for i in range(3) for name in per_block}
    assert {t.name for t in graph.stored()} == wanted
    assert graph.tensors["blocks.0.scores"].shape == (4, 2, 16, 16)


def test_two_thousand_channels_are_within_the_hardware():
    """Swin-B's last merging LayerNorm: 2048 channels; twice as many are too wide for the widths."""
    build = random_swin_graph(depths=(1,), grid=(2, 2), window=2, channels=16)
    node = next(n for n in build.nodes if n.name == "norm")

    def wide(channels):
        fields = {"alpha": np.full(channels, 3), "gamma": np.full(channels, 32767)}
        return replace(node, beta=np.full(channels, (1 << 31) - 1), **fields)

    from golden.execute.layernorm import LayerNorm

    LayerNorm(wide(2048), torch.device("cpu"))
    with pytest.raises(PotvitError, match=r"norm: (variance|difference)"):
        LayerNorm(wide(4096), torch.device("cpu"))


def changed(graph, name, **fields):
    nodes = tuple(replace(n, **fields) if n.name == name else n for n in graph.nodes)
    assert any(a is not b for a, b in zip(nodes, graph.nodes, strict=True))
    return replace(graph, nodes=nodes)


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("blocks.1.codes", {"masked": False}, "does not know of masked keys in 'blocks.1.scores'"),
        ("blocks.0.codes", {"masked": True}, "expects masked keys in 'blocks.0.scores'"),
        ("blocks.0.ln1", {"windows": None}, r"makes \[48, 16\], but edge 'blocks.0.ln1' is \[64"),
        ("blocks.0.ln1", {"windows": Windows(grid=(4, 4), window=(4, 4))}, "orders 16 tokens, but"),
        ("blocks.0.scores", {"windows": None}, "a relative position bias needs windows"),
        ("blocks.0.scores", {"heads": 3}, "3 heads do not fit 16 channels"),
        ("blocks.0.scores", {"bias": np.zeros((2, 4, 4), np.int8)}, r"the bias is int8 \(2, 4, 4"),
        ("blocks.0.scores", {"bias_shift": None}, "a bias without shifts"),
        ("blocks.0.scores", {"bias_shift": np.array([-1, 0])}, "the bias is finer than the prod"),
        ("blocks.0.scores", {"bias_shift": np.array([30, 0])}, "accumulator may need 38 bits"),
        ("blocks.0.res1", {"windows": None}, r"old residual \(48, 16\) does not fit \(64, 16\)"),
        ("embed", {"windows": Windows(grid=(6, 8), window=(4, 4))}, "no old residual to meet"),
        ("pool", {"shift": 1}, "sum of 12 tokens may need 25 bits"),
        ("pool", {"shift": 15}, "shift 15 outside 0..14"),
        ("patch_embed", {"prefix": 1}, r"makes \[49, 16\], but edge 'embed.acc'"),
        ("blocks.2.merge", {"inputs": ("blocks.9.res2",)}, "nothing makes before it"),
        ("blocks.2.merge", {"output": "blocks.1.res2"}, "which is no edge of its own"),
    ],
)
def test_graphs_that_do_not_fit_are_refused(name, fields, reason):
    graph = random_swin_graph(grid=(6, 8))
    check_graph(graph)
    with pytest.raises(PotvitError, match=reason) as caught:
        Executor(changed(graph, name, **fields))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(name)
