"""Exponents that move: shifts follow, real numbers stay, and the way there has the right sign."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from golden.execute.batched import Executor
from golden.graph import ir
from golden.ops.softmax import AttnFormat
from golden.quant.learn import straight_through as st
from golden.quant.learn.exponents import moved
from golden.quant.learn.network import LearnedNetwork
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from golden.synthetic.swin import random_swin_graph

GRAPHS = {
    "w4a4": lambda: random_graph(fmt=AttnFormat.HALF, bits=4, activations=4),
    "w8a8": lambda: random_graph(channels=48, heads=3),
    "swin": lambda: random_swin_graph(bits=4),
}


def images(graph, count):
    return np.stack([random_image(graph, seed) for seed in range(count)])


def movable(graph):
    """What has steps: edges with their number of groups, layers with their channels."""
    network = LearnedNetwork(graph, torch.device("cpu"), steps=True)
    outputs = {node.name: node.output for node in graph.nodes}
    found = {kind: {} for kind in ("step", "weight_step")}
    for name, value in network.parameters.items():
        node, kind = name.split("/")
        if kind in found:
            found[kind][outputs[node] if kind == "step" else node] = len(value)
    return found["step"], found["weight_step"]


def test_what_moves_is_what_blocks_read():
    edges, weights = movable(GRAPHS["w4a4"]())
    parts = ("ln1", "q", "k", "v", "scores", "attn", "ln2", "fc1", "gelu")
    assert set(edges) == {f"blocks.{i}.{part}" for i in range(2) for part in parts}
    assert (edges["blocks.0.q"], edges["blocks.0.scores"], edges["blocks.0.ln1"]) == (2, 2, 1)
    assert set(weights) == {
        f"blocks.{i}.{part}" for i in range(2) for part in ("q", "k", "v", "proj", "fc1", "fc2")
    }


@pytest.mark.parametrize("kind", GRAPHS)
def test_finer_weights_with_room_change_nothing(kind):
    graph = GRAPHS[kind]()
    nodes = tuple(
        replace(n, weight=n.weight >> 1) if isinstance(n, ir.Linear) else n for n in graph.nodes
    )
    graph = replace(graph, nodes=nodes)
    _, weights = movable(graph)
    finer = moved(graph, {}, {name: np.full(count, -1) for name, count in weights.items()})
    changed = sum(
        not np.array_equal(a.weight, b.weight)
        for a, b in zip(graph.nodes, finer.nodes, strict=True)
        if isinstance(a, ir.Linear)
    )
    assert changed == len(weights)
    pixels = images(graph, 2)
    want, got = Executor(graph).trace(pixels), Executor(finer).trace(pixels)
    assert [name for name in want if not np.array_equal(want[name], got[name])] == []


@pytest.mark.parametrize("kind", GRAPHS)
def test_an_edge_that_moves_holds_the_same_numbers_more_coarsely(kind):
    graph = GRAPHS[kind]()
    edges, _ = movable(graph)
    pixels, compared = images(graph, 2), 0
    made = {name: Executor(graph).trace(pixels, [name])[name] for name in edges}
    for name, groups in edges.items():
        if not name.startswith("blocks.0."):
            continue
        other = moved(graph, {name: np.ones(groups, int)}, {})
        found = Executor(other).trace(pixels, [name, other.output])
        zeros = [
            next((n.zero for n in g.nodes if n.output == name and isinstance(n, ir.Gelu)), 0)
            for g in (graph, other)
        ]
        before, after = made[name].astype(int) + zeros[0], found[name].astype(int) + zeros[1]
        limit = 1 << (graph.tensors[name].bits - 1)
        inside = np.abs(made[name].astype(int) + 0.5) < limit - 1
        assert np.abs(2 * after - before)[inside].max() <= 1, name
        assert (after != before).any()
        logits = found[other.output].ravel().astype(float)
        assert np.isfinite(logits).all()
        compared += inside.sum()
    assert compared > 1000


@pytest.mark.parametrize("kind", GRAPHS)
def test_moved_at_random_training_still_sees_what_is_executed(kind):
    graph, rng = GRAPHS[kind](), np.random.default_rng(0)
    edges, weights = movable(graph)
    draws = [
        {name: rng.integers(-1, 2, count) for name, count in found.items()}
        for found in (edges, weights)
    ]
    other = moved(graph, *draws)
    network = LearnedNetwork(other, torch.device("cpu"), steps=True)
    pixels = images(graph, 2)
    values = {graph.input: torch.from_numpy(pixels).float()}
    made = network.run(range(len(network.layers)), values, network.parameters)
    names = [n.output for n in graph.nodes if not isinstance(n, ir.Softmax)]
    want = Executor(other).trace(pixels, names)
    assert [n for n in names if not np.array_equal(want[n], made[n].detach().numpy())] == []


def test_moves_beyond_the_hardware_are_refused():
    graph = GRAPHS["w4a4"]()
    with pytest.raises(PotvitError, match=r"a logit's exponent would leave -5\.\.0"):
        moved(graph, {"blocks.0.scores": np.array([9, 0])}, {})
    with pytest.raises(PotvitError, match="a shift would leave"):
        moved(graph, {"blocks.0.ln1": np.array([60])}, {})
    with pytest.raises(PotvitError, match="a bias exceeds 32 bits"):
        moved(graph, {}, {"blocks.0.q": np.full(32, -30)})


def test_a_steps_gradient_is_that_of_rounding_and_of_the_limit():
    x, step = torch.tensor([0.3, 1.8, 200.0, -9.4]), torch.zeros(1, requires_grad=True)
    st.narrow(x, 8, step).sum().backward()
    assert np.isclose(step.grad.item(), np.log(2) * (-0.3 + 0.2 + 127 + 0.4), rtol=1e-5)
    latent, rows = torch.tensor([[1.2, 9.0], [-8.2, 3.0]]), torch.zeros(2, 1, requires_grad=True)
    st.rounded(latent, 4, rows).sum().backward()
    want = np.log(2) * np.array([[-0.2 + 7], [0.2 + 0]])
    assert np.allclose(rows.grad.numpy(), want, atol=1e-5)


@pytest.mark.parametrize(("exponent", "sign"), [(-7, -1), (0, 1)])
def test_a_steps_gradient_points_to_the_better_exponent(exponent, sign):
    """Normal numbers in 4 bits: a step far too fine has to grow, one far too coarse to shrink."""
    real = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    step = torch.zeros(1, requires_grad=True)
    made = st.narrow(real * 2.0**-exponent, 4, step)
    ((made * 2.0**exponent - real) ** 2).sum().backward()
    assert np.sign(step.grad.item()) == sign


def test_what_saturates_is_pulled_back():
    x = torch.tensor([100.0, 130.0, -140.0], requires_grad=True)
    (st.narrow(x, pull=0.5) * 0).sum().backward()
    assert x.grad.tolist() == [0.0, 1.5, -6.0]
