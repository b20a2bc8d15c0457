"""ATTN unit: see sim/benches/attention.py."""

import numpy as np
import pytest

from golden.execute.batched import Executor
from golden.graph import ir
from golden.ops.softmax import ExpForm
from hw.attention.unit import AttentionUnit
from hw.config import PRESETS
from hw.isa.latencies import SUM
from sim.benches.attention_model import Case
from sim.kit.bench_config import config_env
from sim.kit.unit_points import ODD
from sim.kit.units import compile_parts, units
from sim.simulator.runner import run

BENCH = "sim.benches.attention"
TESTS = ["corner_and_random_rows", "back_to_back_throughput", "illegal_instructions"]
_TINY = PRESETS["tiny"]
IEXP = _TINY.change(
    name="iexp", lanes=2, rows=3, head_lanes=8, max_keys=256, value_words=256, logit_words=512,
    exp_form=ExpForm.IEXP,
)  # fmt: skip
LONG = _TINY.change(name="long", head_lanes=64, max_keys=256, value_words=512, logit_words=512)
LONGEST = _TINY.change(name="longest", max_keys=1024, value_words=1024, logit_words=1024)
SQUARE = _TINY.change(name="square", rows=5, lanes=2, cols=2, head_lanes=4, slots=256)
WIDE = _TINY.change(name="wide", rows=32, lanes=2, cols=4, head_lanes=8, const_rows=64)


def points(*quick, slow=()):
    """Parameters of a test: configurations, the slow ones marked."""
    marked = [pytest.param(c, id=c.name, marks=pytest.mark.slow) for c in slow]
    return [*(pytest.param(c, id=c.name) for c in quick), *marked]


SLOW = (LONG, PRESETS["edge"], PRESETS["base"], SQUARE, WIDE)


@pytest.mark.parametrize("stalls", ["0", "0.3"])
@pytest.mark.parametrize("config", points(_TINY, ODD, IEXP, LONGEST, slow=SLOW))
def test_instructions(config, stalls):
    env = config_env(config, stalls=stalls)
    assert run(units(config, "attn"), BENCH, env=env) == TESTS


def cases_of(graph, node, logits, values, result, rows, rng):
    """Row groups of every head of the softmax ``node``, ragged ones filled with other rows."""
    product = next(n for n in graph.nodes if node.output in n.inputs)
    heads, tokens, _ = logits.shape
    depth = values.shape[1] // heads
    for head in range(heads):
        columns = slice(head * depth, (head + 1) * depth)
        for _ in range(3):
            picked = rng.choice(tokens, rows, replace=rows > tokens)
            case = Case(
                logits=logits[head, picked].astype(np.int64),
                values=values[:, columns].astype(np.int64), frac=-int(node.logit_exp[head]),
                fmt=node.fmt, rule=node.rule, shift=int(product.shift[head]), write_codes=True,
            )  # fmt: skip
            yield case, result[picked, columns]


@pytest.mark.parametrize("attn", ["log2", "half"])
@pytest.mark.parametrize(
    ("model", "config"),
    [
        pytest.param("vit_digits", _TINY, id="vit_digits-tiny"),
        pytest.param("deit_tiny", LONG, id="deit_tiny-long"),
        pytest.param("deit_tiny", PRESETS["base"], id="deit_tiny-base", marks=pytest.mark.slow),
    ],
)
def test_network_rows(model, config, attn, quantized, handed):
    """Real logits and values of the first, a middle and the last block."""
    graph, pixels = quantized(model, attn=attn)
    nodes = [n for n in graph.nodes if isinstance(n, ir.Softmax)]
    nodes = [nodes[0], nodes[len(nodes) // 2], nodes[-1]]
    products = [next(p for p in graph.nodes if n.output in p.inputs) for n in nodes]
    wanted = [t for n in (*nodes, *products) for t in (*n.inputs, n.output)]
    tensors = Executor(graph).trace(pixels[np.newaxis], wanted)
    rng = np.random.default_rng(8)
    cases = []
    for node, product in zip(nodes, products, strict=True):
        logits, values = tensors[node.inputs[0]][0], tensors[product.inputs[1]][0]
        cases += cases_of(graph, node, logits, values, tensors[product.output][0], config.rows, rng)
    for case, result in cases:
        assert (case.result(config.exp_form)[1] == result).all(), "operators disagree"
    env = config_env(config) | handed("POTVIT_BENCH_ROWS", [case for case, _ in cases])
    name = "network_rows"
    assert run(units(config, "attn"), BENCH, testcase=name, env=env) == [name]


def test_a_sum_taken_too_early_is_caught(monkeypatch):
    """The hand-over one cycle early loses the last key's exponential."""
    monkeypatch.setattr("hw.attention.summing_pass.SUM", SUM - 1)
    simulator = compile_parts({"attn": AttentionUnit(_TINY)}, "potvit_units")
    with pytest.raises(AssertionError, match=r"(act|logit) word"):
        run(simulator, BENCH, testcase=TESTS[0], env=config_env(_TINY))


@pytest.mark.slow
def test_a_masked_key_that_counts_is_caught(monkeypatch):
    """The distance that marks masked keys differs from the one that has no exponential."""
    monkeypatch.setattr("hw.attention.softmax.FARTHEST", 254)
    simulator = compile_parts({"attn": AttentionUnit(_TINY)}, "potvit_units")
    with pytest.raises(AssertionError, match=r"(act|logit) word"):
        run(simulator, BENCH, testcase=TESTS[0], env=config_env(_TINY))
