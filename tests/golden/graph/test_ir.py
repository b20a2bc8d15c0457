from golden.graph import ir
from golden.synthetic.graphs import random_graph


def test_a_graph_prints_as_one_line():
    graph = random_graph()
    text = repr(graph)
    assert text.startswith("<Graph ")
    assert f"{len(graph.nodes)} nodes, {len(graph.stored())} stored tensors, " in text
    count = sum(a.size for node in graph.nodes for a in ir.constants(node).values())
    assert f"{count:,} constants, image uint8[" in text
    assert " to logits int32[1, " in text
    assert len(text) < 200


def test_no_part_of_a_graph_prints_its_weights():
    graph = random_graph()
    for part in (*graph.nodes, *graph.tensors.values()):
        text = repr(part)
        assert text.startswith(f"{type(part).__name__}(name='{part.name}'")
        assert "\n" not in text
        assert len(text) < 400
    linear = next(node for node in graph.nodes if isinstance(node, ir.Linear))
    assert f"weight=int8{list(linear.weight.shape)}" in repr(linear)
