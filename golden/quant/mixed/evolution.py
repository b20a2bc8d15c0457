"""From thousands of ranked guesses to a few hundred measured ones: coarse, then fine.

A candidate is one bit per layer, True for 4-bit weights. Coarse: random candidates within the
budget, ranked by their summed sensitivity (P2-ViT's first stage, with each width's own error).
Fine: evolution from the best of them; every child is measured itself, and one whose measured
cycles exceed the budget is no parent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Candidate = tuple[bool, ...]
#: What was measured of a candidate: ``cycles``, ``divergence`` and ``agreement`` at least.
Measured = Mapping[str, Any]
Measure = Callable[[Sequence[Candidate]], Sequence[Measured]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is tried.

    ``guesses`` are ranked, ``population`` candidates measured in each of ``generations`` after
    the first; a gene changes with probability ``mutation``.
    """

    guesses: int = 2000
    population: int = 16
    generations: int = 6
    mutation: float = 0.05
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is wanted: the least divergence within ``budget`` cycles, or, without a budget, the
    fewest cycles at ``target`` percent agreement.
    """  # noqa: D205

    budget: int | None = None
    target: float | None = None

    def meets(self, found: Measured) -> bool:
        """Tell whether a measured candidate is allowed to win."""
        if self.budget is not None:
            return bool(found["cycles"] <= self.budget)
        return self.target is None or bool(found["agreement"] >= self.target)

    def key(self, found: Measured) -> tuple[Any, ...]:
        """Order of preference, best first."""
        if self.budget is None and self.target is not None and self.meets(found):
            return (False, found["cycles"], found["divergence"])
        return (not self.meets(found), found["divergence"], found["cycles"])


class Search:
    """Coarse to fine over layers with a ``saving`` in cycles and a ``harm`` by 4-bit weights."""

    def __init__(
        self, saving: Sequence[float], harm: Sequence[float], most: float, goal: Goal, plan: Plan
    ) -> None:
        """``most`` is what the network takes with 8-bit weights everywhere, in cycles."""
        self._saving, self._harm = np.array(saving), np.array(harm)
        self._most, self._goal, self._plan = most, goal, plan
        self._rng = np.random.default_rng(plan.seed)

    def estimate(self, candidate: Candidate) -> float:
        """Cycles if savings add up."""
        return float(self._most - self._saving[np.array(candidate)].sum())

    def repaired(self, candidate: Candidate) -> Candidate:
        """Give up the cheapest 8-bit layers until the estimate is within the budget."""
        genes = np.array(candidate)
        price = self._harm / np.maximum(self._saving, 1e-9)
        for layer in np.argsort(price, kind="stable"):
            if self._goal.budget is None or self.estimate(tuple(genes)) <= self._goal.budget:
                break
            genes[layer] = True
        return tuple(bool(gene) for gene in genes)

    def coarse(self) -> list[Candidate]:
        """The first population: random candidates of every density, the least harmful first.

        With a budget these are the best; without one they are the best of as many slices of
        cycles as the population has places.
        """
        count = len(self._saving)
        shares = self._rng.uniform(0, 1, self._plan.guesses)
        drawn = (self._rng.uniform(size=(self._plan.guesses, count)) < shares[:, None]).tolist()
        guesses = dict.fromkeys(self.repaired(tuple(genes)) for genes in drawn)
        ranked = sorted(guesses, key=self._rank)
        places = self._plan.population
        if self._goal.budget is not None:
            return ranked[:places]
        step = float(self._saving.sum()) / places or 1.0
        slices: dict[int, Candidate] = {}
        for candidate in ranked:
            slices.setdefault(int((self._most - self.estimate(candidate)) / step), candidate)
        return list(slices.values())[:places]

    def _rank(self, candidate: Candidate) -> tuple[float, Candidate]:
        return float(self._harm[np.array(candidate)].sum()), candidate

    def run(self, measure: Measure) -> dict[Candidate, Measured]:
        """Measure the coarse population and every generation; all that was measured."""
        known: dict[Candidate, Measured] = {}
        wanted = self.coarse()
        for generation in range(self._plan.generations + 1):
            if generation:
                wanted = self._children(known)
            if not wanted:
                break
            known |= zip(wanted, measure(wanted), strict=True)
        return known

    def _children(self, known: Mapping[Candidate, Measured]) -> list[Candidate]:
        """New candidates from the better half of what is known, none measured before."""
        parents = sorted(known, key=lambda c: (self._goal.key(known[c]), c))
        parents = parents[: max(2, self._plan.population // 2)]
        made: dict[Candidate, None] = {}
        for _ in range(20 * self._plan.population):
            first, second = (parents[i] for i in self._rng.integers(len(parents), size=2))
            mixed = np.where(self._rng.random(len(first)) < 0.5, first, second)
            mixed = mixed ^ (self._rng.random(len(first)) < self._plan.mutation)
            child = self.repaired(tuple(bool(gene) for gene in mixed))
            if child not in known:
                made[child] = None
            if len(made) == self._plan.population:
                break
        return list(made)


def front(known: Mapping[Candidate, Measured]) -> list[Candidate]:
    """Candidates that no other beats in both cycles and divergence, fewest cycles first."""
    chosen: list[Candidate] = []
    least = float("inf")
    ordered = sorted(known, key=lambda c: (known[c]["cycles"], known[c]["divergence"], c))
    for candidate in ordered:
        if known[candidate]["divergence"] < least:
            chosen.append(candidate)
            least = known[candidate]["divergence"]
    return chosen
