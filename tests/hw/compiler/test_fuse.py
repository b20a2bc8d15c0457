"""Patterns of nodes to kernels, in any order of the graph; networks with and without classifier."""

import random
from dataclasses import replace

import numpy as np
import pytest

from golden.execute.reference import run_reference
from golden.graph import ir
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.compiler.frontend.fuse import fuse
from hw.compiler.frontend.kernels import Add, Attend, Classify, Embed, Hidden, Keep, Normalise
from hw.compiler.frontend.network import read_network
from hw.config import preset
from hw.interpreter import run_program, run_random_order

SMALL = {"tokens": 17, "channels": 32, "heads": 2, "depth": 2, "patch": 4, "image_channels": 4}


def test_every_node_is_in_one_kernel():
    graph = random_graph(**SMALL)
    kernels = fuse(graph)
    assert [type(k) for k in kernels] == [
        Embed, *[Normalise, Attend, Add, Normalise, Hidden, Add] * 2, Keep, Normalise, Classify,
    ]  # fmt: skip
    names = [node.name for kernel in kernels for node in kernel.nodes]
    assert sorted(names) == sorted(node.name for node in graph.nodes)
    for kernel in kernels:
        inside = {node.output for node in kernel.nodes}
        assert kernel.output in inside
        assert not inside & set(kernel.inputs)


def test_the_order_of_the_nodes_does_not_matter():
    graph = random_graph(**SMALL)
    nodes = list(graph.nodes)
    random.Random(3).shuffle(nodes)
    mixed = replace(graph, nodes=tuple(nodes))
    assert read_network(mixed).blocks == read_network(graph).blocks


def without_classifier(graph, *, every_token):
    """The graph up to its last LayerNorm, of one token or of all."""
    nodes = [n for n in graph.nodes if not isinstance(n, ir.Head)]
    tensors = dict(graph.tensors)
    if every_token:
        select = next(n for n in nodes if isinstance(n, ir.Select))
        norm = next(n for n in nodes if n.inputs == (select.output,))
        nodes = [n for n in nodes if n not in (select, norm)]
        nodes.append(replace(norm, inputs=select.inputs))
        shape = tensors[select.inputs[0]].shape
        tensors[norm.output] = replace(tensors[norm.output], shape=shape)
        del tensors[select.output]
    del tensors[graph.output]
    return replace(graph, nodes=tuple(nodes), tensors=tensors, output="norm")


@pytest.mark.parametrize("every_token", [False, True])
@pytest.mark.parametrize(
    "config",
    [preset("tiny"), preset("tiny").change(name="spilled", residual_words=80)],
    ids=lambda c: c.name,
)
def test_features_instead_of_logits(config, every_token):
    graph = without_classifier(random_graph(**SMALL), every_token=every_token)
    image = random_image(graph, 2)
    expected = run_reference(graph, image)
    assert expected["norm"].shape == ((17 if every_token else 1), 32)
    for checkpoints in (False, True):
        program = compile_graph(graph, config, checkpoints=checkpoints)
        for dram in (
            run_program(program, config, image),
            run_random_order(program, config, image, 4),
        ):
            names = {program.output, *(c.name for c in program.checkpoints)}
            assert "norm" in names
            assert len(names) == (len(graph.stored()) if checkpoints else 1)
            for name in names:
                assert np.array_equal(program.unpack(name, dram), expected[name]), name
