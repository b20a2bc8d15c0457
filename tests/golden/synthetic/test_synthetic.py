"""The synthetic graphs must exercise what they are meant to exercise."""

import numpy as np
import pytest

from golden.execute.reference import run_reference
from golden.graph import ir
from golden.ops.softmax import AttnFormat, ExpForm
from golden.synthetic.graphs import random_graph, random_image

VARIANTS = [
    {},
    {"bits": 4},
    {"fmt": AttnFormat.HALF, "tokens": 26, "channels": 48, "heads": 3},
    {"form": ExpForm.IEXP},
]


@pytest.mark.parametrize("options", VARIANTS)
def test_codes_and_saturations_occur(options):
    graph = random_graph(**options)
    codes, scores = set(), []
    for seed in range(3):
        values = run_reference(graph, random_image(graph, seed))
        for node in graph.nodes:
            if isinstance(node, ir.Softmax):
                codes |= set(np.unique(values[node.output]))
            if isinstance(node, ir.Scores):
                scores.append(values[node.output])
    zero = options.get("fmt", AttnFormat.LOG2).zero_code
    assert codes == set(range(zero + 1))
    assert min(s.min() for s in scores) == -128
    assert max(s.max() for s in scores) == 127


def test_same_arguments_same_graph():
    first, second = random_graph(seed=3), random_graph(seed=3)
    for a, b in zip(first.nodes, second.nodes, strict=True):
        for name, value in ir.constants(a).items():
            assert np.array_equal(value, ir.constants(b)[name])
    other = random_graph(seed=4)
    assert not np.array_equal(first.nodes[0].weight, other.nodes[0].weight)


def test_names_and_checkpoints():
    graph = random_graph(depth=2)
    stored = [t.name for t in graph.stored()]
    assert len(stored) == 1 + 2 * 11 + 2
    assert stored[0] == "embed"
    assert stored[-2:] == ["norm", "logits"]
    assert graph.tensors["logits"].shape == (1, 10)
    assert graph.producer("blocks.1.res1").inputs == ("blocks.1.proj.acc", "blocks.0.res2")


def test_exponents_are_consistent():
    graph = random_graph()
    for node in graph.nodes:
        if isinstance(node, ir.Linear) and node.shift is not None:
            e_x = graph.tensors[node.inputs[0]].exponent
            e_y = graph.tensors[node.output].exponent
            assert np.array_equal(node.shift, e_y - e_x - node.weight_exp)
        if isinstance(node, ir.Residual):
            fine = graph.tensors[node.inputs[0]].exponent - node.la
            assert np.array_equal(node.shift, graph.tensors[node.output].exponent - fine)


def test_indivisible_heads_are_refused():
    with pytest.raises(ValueError, match="3 heads do not divide 32 channels"):
        random_graph(heads=3)
