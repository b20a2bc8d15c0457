"""Learned rounding: exactly the executor's forward, the same bytes whatever interrupts it."""

import itertools

import numpy as np
import pytest
import torch

from golden.__main__ import COMMANDS
from golden.data.datasets import open_dataset
from golden.execute.batched import Executor
from golden.graph import ir
from golden.models.load import load_model
from golden.ops.softmax import AttnFormat
from golden.quant import QuantOptions, bit_map, quantize_pixels
from golden.quant.learn import reconstruct as learning
from golden.quant.learn import straight_through as st
from golden.quant.learn.network import LearnedNetwork
from golden.quant.learn.options import LearnOptions
from golden.quant.learn.state import Saved
from golden.quant.learn.targets import Stage
from golden.support.command_line import main
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from golden.synthetic.swin import random_swin_graph

GRAPHS = {
    "log2": lambda: random_graph(tokens=17, channels=48, heads=3),
    "half": lambda: random_graph(tokens=17, channels=48, heads=3, fmt=AttnFormat.HALF, bits=4),
    "swin": lambda: random_swin_graph(fmt=AttnFormat.HALF),
    "w4a4": lambda: random_graph(fmt=AttnFormat.HALF, bits=4, activations=4),
    "swin4": lambda: random_swin_graph(bits=4, activations=4),
}
FEW = LearnOptions(steps=3, batch=8)


def images(graph, count):
    return np.stack([random_image(graph, seed) for seed in range(count)])


def forward(network, pixels, names):
    values = {network.graph.input: torch.from_numpy(pixels).float()}
    made = network.run(range(len(network.layers)), values, network.parameters)
    return {name: made[name].detach().numpy() for name in names}


def edges(graph):
    """Every edge but the factors that stand in for codes."""
    return [n.output for n in graph.nodes if not isinstance(n, ir.Softmax)]


def shaken(network, seed=0):
    """Move every parameter by a few steps."""
    rng = torch.Generator().manual_seed(seed)
    for name, value in network.parameters.items():
        size = 1.5 if "weight" in name else 0.02 if "gamma" in name else 3.0
        value += size * torch.randn(value.shape, generator=rng)
        learning.clamp(name.split("/")[1], value)


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("moved", [False, True])
def test_the_learning_forward_is_the_executors(kind, moved):
    graph = GRAPHS[kind]()
    network = LearnedNetwork(graph, torch.device("cpu"))
    if moved:
        shaken(network)
    made = network.learned()
    changed = [
        f"{a.name}.{name}"
        for a, b in zip(graph.nodes, made.nodes, strict=True)
        for name, value in ir.constants(a).items()
        if value.dtype != getattr(b, name).dtype or not np.array_equal(value, getattr(b, name))
    ]
    assert bool(changed) == moved
    pixels, names = images(graph, 3), edges(graph)
    want, got = Executor(made).trace(pixels, names), forward(network, pixels, names)
    assert len(names) > 10
    assert [name for name in names if not np.array_equal(want[name], got[name])] == []


def test_moving_one_latent_weight_shows_in_the_output():
    graph = GRAPHS["log2"]()
    network = LearnedNetwork(graph, torch.device("cpu"))
    before = forward(network, images(graph, 1), [graph.output])[graph.output]
    name = next(n for n in network.parameters if n.endswith("fc2/weight"))
    network.parameters[name] += 9
    after = forward(network, images(graph, 1), [graph.output])[graph.output]
    assert not np.array_equal(before, after)


def test_latent_weights_start_towards_the_real_ones_without_moving_a_weight():
    graph = GRAPHS["half"]()
    node = next(n for n in graph.nodes if n.name.endswith("fc1"))
    real = np.ldexp(node.weight + 0.4, node.weight_exp[:, None])
    real[0] = np.ldexp(node.weight[0] - 7.0, node.weight_exp[0])
    network = LearnedNetwork(graph, torch.device("cpu"), {node.name: torch.from_numpy(real)})
    latent = network.parameters[f"{node.name}/weight4"].numpy()
    assert np.allclose(latent[1:] - node.weight[1:], 0.2, atol=1e-5)
    assert np.allclose(latent[0] - node.weight[0], -0.45)
    kept = {n.name: n for n in network.learned().nodes}[node.name]
    assert np.array_equal(kept.weight, node.weight)


def test_gradients_pass_rounding_and_stop_at_saturation():
    x = torch.tensor([-500.0, -3.4, 0.5, 127.4, 127.6], requires_grad=True)
    y = st.narrow(x)
    assert y.tolist() == [-128, -3, 1, 127, 127]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    x.grad = None
    y = st.narrow(x, 4)
    assert y.tolist() == [-8, -3, 1, 7, 7]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0, 0]


def test_layer_norms_gradient_is_the_float_one():
    q = torch.randint(-100, 100, (2, 3, 16), generator=torch.Generator().manual_seed(1)).float()
    alpha = torch.tensor([1.0, 2.0] * 8, dtype=torch.float64)
    weight = torch.randn(2, 3, 16, dtype=torch.float64)
    grads = []
    for function in (
        lambda x: st.normalized(x, alpha) * 2.0**-16,
        lambda x: torch.nn.functional.layer_norm(x.double() * alpha, (16,), eps=0.0),
    ):
        leaf = q.clone().requires_grad_()
        (function(leaf) * weight).sum().backward()
        grads.append(leaf.grad)
    assert torch.allclose(*grads, rtol=1e-3, atol=1e-6)


def test_attentions_gradient_is_the_softmaxs():
    graph = random_graph(tokens=17, channels=48, heads=3, fmt=AttnFormat.HALF)
    network = LearnedNetwork(graph, torch.device("cpu"))
    index = next(i for i, n in enumerate(graph.nodes) if isinstance(n, ir.Softmax))
    softmax = network.layers[index]
    value = next(x for x in network.layers if isinstance(x.node, ir.AttnValue))
    logits = torch.randint(-60, 60, (1, 3, 17, 17), generator=torch.Generator().manual_seed(2))
    leaf = logits.float().requires_grad_()
    v = torch.randint(-30, 30, (1, 17, 48), generator=torch.Generator().manual_seed(3)).float()
    weight = torch.randn(1, 17, 48)
    (value({}, softmax({}, leaf), v) * weight).sum().backward()
    other = logits.double().requires_grad_()
    unit = torch.tensor(2.0 ** softmax.node.logit_exp.astype(float))[:, None, None]
    p = (other * unit * np.log(2)).softmax(-1)
    heads = v.double().unflatten(-1, (3, -1)).transpose(1, 2)
    scale = torch.tensor(2.0 ** -value.node.shift.astype(float))[:, None, None]
    out = (p @ heads * scale).transpose(1, 2).flatten(2)
    (out * weight).sum().backward()
    cosine = torch.nn.functional.cosine_similarity(
        leaf.grad.double().flatten(), other.grad.flatten(), dim=0
    )
    assert cosine > 0.98


@pytest.fixture(scope="module")
def digits():
    model = load_model("vit_digits")
    samples = open_dataset(None, model.spec).calib(40, seed=1)
    return model, np.stack([s.pixels(model.spec.preprocess) for s in samples])


def digest(graph):
    return [digest_of(node) for node in graph.nodes]


def digest_of(node):
    return [value.tobytes() for value in ir.constants(node).values()]


def options(learn=FEW, **changes):
    return QuantOptions(bits=bit_map("w4a8"), attn="half", learn=learn, **changes)


def test_same_bytes_for_any_number_of_threads(digits):
    made, threads = [], torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            made.append(digest(quantize_pixels(*digits, options())))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert made[0] == made[1]
    assert made[0] != digest(quantize_pixels(*digits, options(learn=None)))


def test_a_killed_run_goes_on_to_the_same_bytes(digits, tmp_path, monkeypatch):
    whole = digest(quantize_pixels(*digits, options()))
    steps, learn = itertools.count(), learning.Reconstruction._learn

    def dying(self, *args):
        if next(steps) == 3:
            raise KeyboardInterrupt
        learn(self, *args)

    monkeypatch.setattr(learning.Reconstruction, "_learn", dying)
    with pytest.raises(KeyboardInterrupt):
        quantize_pixels(*digits, options(), keep=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert sorted(p.name for p in folder.iterdir()) == [f"{i}.safetensors" for i in range(3)]
    (folder / "1.safetensors").write_bytes(b"cut short")
    learned = []
    monkeypatch.setattr(
        learning.Reconstruction,
        "_learn",
        lambda self, n, *a: (learned.append(n), learn(self, n, *a)),
    )
    assert digest(quantize_pixels(*digits, options(), keep=tmp_path)) == whole
    assert learned == [1, 3, 4]
    # Other options or pictures are another run.
    other = options(LearnOptions(steps=3, batch=8, seed=5))
    quantize_pixels(digits[0], digits[1][:20], other, keep=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def stage_losses(digits, monkeypatch, learn):
    """The loss of every stage over all pictures, before and after learning it."""
    losses, each = [], learning.Workers.each

    def watched(self, function, count):
        made = each(self, function, count)
        if made.dtype == torch.float32 and made.dim() == 1:
            losses.append(float(made.sum()))
        return made

    monkeypatch.setattr(learning.Workers, "each", watched)
    made = quantize_pixels(*digits, options(learn))
    return np.array(losses).reshape(-1, 2), made


def test_learning_brings_the_stages_nearer_to_the_float_stream(digits, monkeypatch):
    losses, _ = stage_losses(digits, monkeypatch, LearnOptions(steps=40, batch=40))
    assert len(losses) == 5
    assert np.median(losses[1:4, 1] / losses[1:4, 0]) < 0.95


def test_a_stage_that_learned_nothing_good_stays_as_it_was(digits, monkeypatch):
    wild = LearnOptions(steps=1, batch=40, weight4=1, weight8=1, bias=1, gamma=1)
    losses, made = stage_losses(digits, monkeypatch, wild)
    assert (losses[1:4, 1] > losses[1:4, 0]).all()
    start = quantize_pixels(*digits, options(learn=None))
    for before, after in zip(start.nodes, made.nodes, strict=True):
        if before.name.startswith("blocks."):
            assert digest_of(before) == digest_of(after)


def test_more_pictures_change_what_is_learned(digits):
    model, pixels = digits
    alone = digest(quantize_pixels(model, pixels[:20], options()))
    helped = digest(quantize_pixels(model, pixels[:20], options(), more=pixels[20:]))
    assert alone != helped


def test_what_cannot_be_learned_is_refused(digits):
    graph = quantize_pixels(digits[0], digits[1][:2], QuantOptions())
    network = LearnedNetwork(graph, torch.device("cpu"))
    with pytest.raises(PotvitError, match="cannot be learned on its own"):
        network.between("embed", "blocks.0.proj.acc")
    with pytest.raises(PotvitError, match="no edges"):
        network.between("embed", "nowhere")
    with pytest.raises(PotvitError, match="not uniform"):
        QuantOptions(attn="none", learn=FEW)
    uniform = quantize_pixels(digits[0], digits[1][:2], QuantOptions(attn="none"))
    with pytest.raises(PotvitError, match="not uniform"):
        LearnedNetwork(uniform, torch.device("cpu"))
    for wrong in ({"steps": 0}, {"weight4": -1}, {"gamma": float("nan")}):
        with pytest.raises(PotvitError):
            LearnOptions(**wrong)


def test_a_loss_that_is_no_number_stops_and_keeps_nothing_of_its_stage(digits, tmp_path):
    model, pixels = digits
    graph = quantize_pixels(model, pixels[:4], QuantOptions())
    stages = [
        Stage(edge="embed", run=lambda x: torch.full((len(x), 17, 48), torch.nan)),
        Stage(edge="logits", run=lambda x: x),
    ]
    with pytest.raises(PotvitError, match="learn slower"):
        learning.reconstruct(
            graph, stages, model.spec.preprocess, pixels[:4], {}, FEW, Saved(tmp_path / "a")
        )
    assert not (tmp_path / "a").exists()


def test_pictures_for_nothing_and_folders_without_pictures_are_refused(tmp_path, capsys):
    words = ["export", "vit_digits", "--out", str(tmp_path / "bundle"), "--pictures"]
    assert main("golden", COMMANDS, [*words, str(tmp_path)]) == 2
    assert "--pictures are for learned rounding" in capsys.readouterr().err
    assert main("golden", COMMANDS, [*words, str(tmp_path), "--learn", "3"]) == 2
    assert "holds no pictures" in capsys.readouterr().err
    assert main("golden", COMMANDS, [*words, str(tmp_path / "no"), "--learn", "3"]) == 2
    assert "is no folder of pictures" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
