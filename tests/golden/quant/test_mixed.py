"""Mixed precision: curvatures against the whole Hessian, and a search that finds what is best."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from golden.quant.mixed.evolution import Goal, Plan, Search, front
from golden.quant.mixed.sensitivity import LayerWeights, sensitivities, traces
from golden.quant.search.weights import round_nearest

LAYERS = 8


def small():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4))
    layers = {
        "a": LayerWeights(parameter=module[0].weight, rows=slice(0, 2)),
        "b": LayerWeights(parameter=module[0].weight, rows=slice(2, 6)),
        "c": LayerWeights(parameter=module[2].weight, rows=slice(None)),
    }
    return module, layers, torch.randn(6, 5)


def test_traces_are_those_of_the_divergences_hessian():
    module, layers, pictures = small()
    first, last = module[0].weight.detach(), module[2].weight.detach()
    own = module(pictures).log_softmax(-1).detach()

    def loss(w0, w2):
        hidden = torch.tanh(F.linear(pictures, w0, module[0].bias))
        logits = F.linear(hidden, w2, module[2].bias).log_softmax(-1)
        return F.kl_div(logits, own, log_target=True, reduction="sum") / len(pictures)

    whole = torch.autograd.functional.hessian(loss, (first, last))
    diagonals = [
        whole[i][i].reshape(w.numel(), -1).diagonal().reshape(w.shape)
        for i, w in enumerate((first, last))
    ]
    want = {"a": diagonals[0][:2].mean(), "b": diagonals[0][2:].mean(), "c": diagonals[1].mean()}
    got = traces(module, layers, pictures, draws=400, seed=1)
    for name, value in want.items():
        assert got[name] == pytest.approx(float(value), rel=0.15)
    assert traces(module, layers, pictures, seed=3) == traces(module, layers, pictures, seed=3)
    assert not any(
        p.requires_grad != q for p, q in zip(module.parameters(), [True] * 4, strict=True)
    )


def test_each_width_has_its_own_error():
    _, layers, _ = small()
    trace = {"a": 2.0, "b": 1.0, "c": 3.0}
    found = sensitivities(layers, trace)
    weight = layers["a"].of(layers["a"].parameter).detach().double().numpy()
    for bits in (4, 8):
        error = np.square(round_nearest(weight, bits).real - weight).sum()
        assert found["a"][bits] == pytest.approx(2.0 * error)
    assert found["a"][4] > 10 * found["a"][8]


HARM = np.array([5.0, 1.0, 9.0, 2.0, 0.5, 7.0, 3.0, 4.0])
SAVING = np.array([10.0, 10.0, 20.0, 5.0, 5.0, 20.0, 10.0, 20.0])
PLAN = Plan(guesses=64, population=8, generations=12, mutation=0.2, seed=1)


def world(candidate):
    """Not quite what the ranking believes: two layers together do more harm."""
    genes = np.array(candidate)
    divergence = float(HARM[genes].sum() + 6 * (genes[1] and genes[4]) + 1)
    return {"cycles": float(100 - SAVING[genes].sum()), "divergence": divergence,
            "agreement": 100 - divergence}  # fmt: skip


def searched(goal, plan=PLAN):
    calls = []

    def measure(candidates):
        calls.append(list(candidates))
        return [world(c) for c in candidates]

    return Search(SAVING, HARM, 100.0, goal, plan).run(measure), calls


def best_of_all(goal):
    everything = itertools.product([False, True], repeat=LAYERS)
    return min((c for c in everything if goal.meets(world(c))), key=lambda c: goal.key(world(c)))


@pytest.mark.parametrize("goal", [Goal(budget=60), Goal(budget=35), Goal(target=88.0)])
def test_the_search_finds_the_best_and_measures_nothing_twice(goal):
    known, calls = searched(goal)
    best = min(known, key=lambda c: goal.key(known[c]))
    assert goal.key(world(best)) == goal.key(world(best_of_all(goal)))
    flat = [c for part in calls for c in part]
    assert len(flat) == len(set(flat)) == len(known) < 2**LAYERS / 2
    assert all(known[c] == world(c) for c in known)
    if goal.budget is not None:
        assert all(found["cycles"] <= goal.budget for found in known.values())
    assert searched(goal)[1] == calls
    assert searched(goal, Plan(guesses=64, population=6, seed=2))[1] != calls


def test_evolution_betters_the_coarse_stage():
    goal = Goal(budget=60)
    known, calls = searched(goal, Plan(guesses=200, population=1, generations=30, mutation=0.2))
    coarse = min(goal.key(world(c)) for c in calls[0])
    assert min(goal.key(found) for found in known.values()) < coarse


def test_a_child_beyond_the_budget_is_no_parent():
    """Cycles that do not add up: what was estimated to fit may not."""
    goal = Goal(budget=60)

    def measure(candidates):
        return [{**world(c), "cycles": world(c)["cycles"] + 30 * c[7]} for c in candidates]

    known = Search(SAVING, HARM, 100.0, goal, PLAN).run(measure)
    best = min(known, key=lambda c: goal.key(known[c]))
    assert any(found["cycles"] > 60 for found in known.values())
    assert known[best]["cycles"] <= 60
    assert not best[7]


def test_the_front_is_what_nothing_beats():
    known = {c: world(c) for c in itertools.product([False, True], repeat=LAYERS)}
    chosen = front(known)
    points = [(known[c]["cycles"], known[c]["divergence"]) for c in chosen]
    assert points == sorted(points)
    for c, found in known.items():
        beaten = any(x <= found["cycles"] and y <= found["divergence"] for x, y in points)
        assert beaten, c
    assert all(a[1] > b[1] for a, b in itertools.pairwise(points))
