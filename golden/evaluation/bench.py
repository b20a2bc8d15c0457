"""Speed of the integer executor beside timm's float network, measured so that it can be repeated.

Two networks timed batch by batch in one loop measure whatever else the machine does: float's
threads wait for one another after every layer, the executor's do not. So each side runs alone over
all pictures, at the batch that suits it best, and the two alternate; what is reported is the median
of each side, its spread, and the median of the ratios of neighbouring runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.batched import Executor
from golden.models.load import LoadedModel

Pixels = npt.NDArray[np.uint8]
Run = Callable[[Pixels], object]

#: Pictures that go through a network together; the best of them is found for each side.
BATCHES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, kw_only=True)
class Side:
    """One network's speed: its best ``batch``, and pictures per second over the rounds."""

    batch: int
    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both sides at one number of threads; ``ratio`` is integer over floating, median of rounds."""

    threads: int
    integer: Side
    floating: Side
    ratio: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def compare(
    model: LoadedModel, executor: Executor, pixels: Pixels, threads: Sequence[int], rounds: int
) -> Iterator[Comparison]:
    """Time both networks on ``pixels`` uint8 [N, H, W, C], for each number of threads in turn."""
    module, preprocess = model.module, model.spec.preprocess
    inputs = preprocess.normalize(pixels)

    def integer(batch: int) -> Run:
        return lambda part: [executor.run(part[i : i + batch]) for i in range(0, len(part), batch)]

    @torch.inference_mode()
    def float_network(batch: int) -> None:
        for i in range(0, len(inputs), batch):
            module(inputs[i : i + batch])

    def floating(batch: int) -> Run:
        return lambda _: float_network(batch)

    for count in threads:
        with _threads(count):
            best = {side: _best(make, pixels) for side, make in (("i", integer), ("f", floating))}
            times: dict[str, list[float]] = {"i": [], "f": []}
            for _ in range(rounds):
                times["i"].append(_seconds(integer(best["i"]), pixels))
                times["f"].append(_seconds(floating(best["f"]), pixels))
        ratios = [f / i for i, f in zip(times["i"], times["f"], strict=True)]
        yield Comparison(
            threads=count,
            integer=_side(best["i"], times["i"], len(pixels)),
            floating=_side(best["f"], times["f"], len(pixels)),
            ratio=round(statistics.median(ratios), 3),
        )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(run: Run, pixels: Pixels) -> float:
    start = time.perf_counter()
    run(pixels)
    return time.perf_counter() - start


def _best(make: Callable[[int], Run], pixels: Pixels) -> int:
    """The batch with the shorter of two runs; batches above the pictures are left out."""
    fits = [batch for batch in BATCHES if batch <= len(pixels)]
    return min(fits, key=lambda batch: min(_seconds(make(batch), pixels) for _ in range(2)))


def _side(batch: int, seconds: Sequence[float], count: int) -> Side:
    speeds = sorted(count / s for s in seconds)
    return Side(
        batch=batch,
        median=round(statistics.median(speeds), 2),
        lowest=round(speeds[0], 2),
        highest=round(speeds[-1], 2),
    )
