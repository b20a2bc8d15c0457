"""NORM unit and its datapath against golden.ops.LayerNorm."""

from __future__ import annotations

import numpy as np
import pytest

from golden.execute.batched import Executor
from golden.graph import ir
from golden.ops import LayerNorm
from hw.config import PRESETS
from hw.norm.unit import NormUnit
from sim.benches.norm_cases import corner_tokens
from sim.benches.norm_model import Case
from sim.kit.bench_config import config_env
from sim.kit.units import compile_parts, units
from sim.simulator.runner import run

PARTS = ("norm", "load", "store")
TESTS = ["corner_and_random_tokens", "extreme_shifts", "rate", "illegal_instructions"]


@pytest.mark.parametrize("stalls", ["0", "0.3", "0.7"])
def test_instructions(unit_config, stalls):
    env = config_env(unit_config, stalls=stalls)
    assert run(units(unit_config, *PARTS), "sim.benches.norm", env=env) == TESTS


@pytest.mark.parametrize("model", ["vit_digits", "deit_tiny"])
def test_network_tokens(unit_config, model, quantized, handed):
    """Real residual streams and parameters: first, middle and last LayerNorm of the network."""
    config = unit_config
    graph, pixels = quantized(model)
    norms = [n for n in graph.nodes if isinstance(n, ir.LayerNorm)]
    chosen = [norms[0], norms[len(norms) // 2], norms[-2]]
    if config.max_channels < len(chosen[0].gamma):
        pytest.skip(f"{config.name} takes {config.max_channels} channels")
    sources = [n.inputs[0] for n in chosen]
    tensors = Executor(graph).trace(pixels[np.newaxis], sources + [n.output for n in chosen])
    cases = []
    for node in chosen:
        q = tensors[node.inputs[0]][0].astype(np.int64)
        q = q[: max(2 * config.rows + 1, len(q) if config.name in ("edge", "base") else 0)]
        values = (node.alpha, node.gamma, node.beta)
        y = LayerNorm(channels=q.shape[1]).compute(q, *values, node.shift)
        assert (y == tensors[node.output][0][: len(q)]).all()
        alpha, gamma, beta = (v.astype(np.int64) for v in values)
        cases.append(Case(q=q, alpha=alpha, gamma=gamma, beta=beta, shift=node.shift))
    env = config_env(config) | handed("POTVIT_BENCH_TOKENS", cases)
    simulator = units(config, *PARTS)
    name = "network_tokens"
    assert run(simulator, "sim.benches.norm", testcase=name, env=env) == [name]


def test_a_fault_is_caught(monkeypatch):
    """Rounding down instead of to nearest, wrapping instead of saturating."""

    def truncated(m, x, s, bits, name):
        return (x >> (s + 1))[:bits].as_signed()

    monkeypatch.setattr("hw.norm.datapath.round_shift", truncated)
    simulator = compile_parts({"norm": NormUnit(PRESETS["tiny"])}, "potvit_units")
    name = "corner_and_random_tokens"
    with pytest.raises(AssertionError, match=r"\(bank, word, half\) .*: got"):
        run(simulator, "sim.benches.norm", testcase=name, env=config_env(PRESETS["tiny"]))


@pytest.mark.parametrize(("channels", "lanes"), [(24, 4), (100, 2), (1024, 8), (2048, 16)])
def test_datapath_of_the_parameters(simulate, channels, lanes):
    """`LayerNorm.create` computes what `LayerNorm.compute` does, one token after the other."""
    params = LayerNorm(channels=channels)
    rng = np.random.default_rng(channels)
    q = np.concatenate([corner_tokens(rng, channels), rng.integers(-128, 128, (3, channels))])
    alpha, gamma = rng.integers(0, 4, channels), rng.integers(-32768, 32768, channels)
    beta = rng.integers(-(1 << 30), 1 << 30, channels)
    want = params.compute(q, alpha, gamma, beta, 24)
    s1, s2 = params.statistics(q, alpha)
    unit = params.create(lanes=lanes, tag=8)
    steps = -(-channels // lanes)
    pad = steps * lanes - channels
    got = []

    async def sums(ctx):
        for a, b in zip(s1, s2, strict=True):
            ctx.set(unit.token.payload, {"s1": int(a), "s2": int(b), "c": channels})
            ctx.set(unit.token.valid, 1)
            await ctx.tick().until(unit.token.ready)
        ctx.set(unit.token.valid, 0)

    async def feed(ctx):
        padded = np.pad(q, ((0, 0), (0, pad)))
        for i in range(len(q)):
            for step in range(steps):
                part = slice(step * lanes, (step + 1) * lanes)
                word = {
                    "q": [int(v) for v in padded[i, part]], "last": step == steps - 1,
                    "shift": 24, "word": step, "tag": i,
                }  # fmt: skip
                ctx.set(unit.step.payload, word)
                ctx.set(unit.step.valid, 1)
                await ctx.tick().until(unit.step.ready)
                for lane, a in enumerate(alpha[part]):
                    ctx.set(unit.alphas[lane], int(a))
        ctx.set(unit.step.valid, 0)

    async def gains(ctx):
        read = unit.gain_read
        while len(got) < len(q) * steps:
            _, _, en, step = await ctx.tick().sample(read.en, read.addr)
            if en:
                part = slice(step * lanes, (step + 1) * lanes)
                for lane, (g, b) in enumerate(zip(gamma[part], beta[part], strict=True)):
                    ctx.set(read.data[lane], {"gamma": int(g), "beta": int(b)})

    async def collect(ctx):
        random = np.random.default_rng(1)
        while len(got) < len(q) * steps:
            ctx.set(unit.y.ready, int(random.random() < 0.7))
            if ctx.get(unit.y.valid) and ctx.get(unit.y.ready):
                y = ctx.get(unit.y.payload)
                got.append([y.y[lane] for lane in range(lanes)])
                assert y.tag == (len(got) - 1) // steps
            await ctx.tick()

    simulate(unit, sums, feed, gains, collect)
    result = np.array(got).reshape(len(q), -1)[:, :channels]
    assert (result == want).all()
    assert {127, -128} <= set(want.ravel())
