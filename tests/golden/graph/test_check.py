"""What a graph is refused for: here widths of edges; shapes are in the tests of what makes them."""

from dataclasses import replace

import numpy as np
import pytest

from golden.execute.batched import Executor
from golden.execute.reference import run_reference
from golden.graph import ir
from golden.graph.check import check_graph
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from golden.synthetic.swin import random_swin_graph


def changed(graph, name, **changes):
    nodes = tuple(replace(n, **changes) if n.name == name else n for n in graph.nodes)
    return replace(graph, nodes=nodes)


@pytest.mark.parametrize("make", [random_graph, random_swin_graph])
def test_four_bit_edges_are_those_that_layers_of_blocks_read(make):
    graph = make(bits=4, activations=4)
    check_graph(graph)
    four = {name for name, tensor in graph.tensors.items() if tensor.bits == 4}
    layers = [n for n in graph.nodes if isinstance(n, ir.Linear)]
    assert four == {name for node in layers for name in node.inputs}
    image = random_image(graph, 3)
    for name, value in run_reference(graph, image).items():
        if name in four:
            levels = set(np.unique(value).tolist())
            assert levels <= set(range(-8, 8)), name
            assert len(levels) > 10, name


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("blocks.0.q", {"bits": 8}, r"blocks\.0\.q: reads blocks\.0\.ln1 of 4 bits, which only"),
        ("blocks.0.ln1", {"out_bits": 8}, r"ln1: makes 8 bits, but edge 'blocks\.0\.ln1' has 4"),
        ("norm", {"out_bits": 4}, r"norm: makes 4 bits, but edge 'norm' has 8"),
        ("blocks.1.gelu", {"table": np.full(256, 8, np.int8)}, "entries outside 4 bits"),
    ],
)
def test_widths_that_do_not_fit_are_refused(name, changes, message):
    graph = changed(random_graph(bits=4, activations=4), name, **changes)
    with pytest.raises(PotvitError, match=message):
        Executor(graph)


def test_the_head_reads_eight_bits():
    graph = changed(random_graph(bits=4, activations=4), "norm", out_bits=4)
    narrow = replace(graph.tensors["norm"], bits=4)
    with pytest.raises(PotvitError, match="head: reads norm of 4 bits"):
        check_graph(replace(graph, tensors={**graph.tensors, "norm": narrow}))


def test_the_reference_keeps_to_the_bits_of_an_edge():
    graph = changed(random_graph(bits=4, activations=4), "blocks.0.ln1", out_bits=8)
    with pytest.raises(OverflowError, match=r"blocks\.0\.ln1: a value does not fit 4 bits"):
        run_reference(graph, random_image(graph, 0))
