"""Gradients of a batch on several cores, added in one order whatever the number of cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

#: Numbers of a picture's tokens that one thread carries at a time; small pictures go together.
PART_NUMBERS = 150_000

Loss = Callable[[torch.Tensor], torch.Tensor]


class Workers:
    """Runs functions of picture numbers part by part, each part on one thread of torch.

    ``part`` is how many pictures go together.
    """

    def __init__(self, pool: ThreadPoolExecutor, part: int) -> None:
        self._pool, self._part = pool, part

    def gradients(
        self, loss: Loss, pictures: torch.Tensor, wanted: Sequence[torch.Tensor]
    ) -> tuple[float, list[torch.Tensor]]:
        """Return the sum of ``loss`` over parts of ``pictures``, and its gradients.

        ``loss`` takes picture numbers and gives their summed loss.
        """

        def part(numbers: torch.Tensor) -> tuple[float, tuple[torch.Tensor, ...]]:
            value = loss(numbers)
            return float(value.detach()), torch.autograd.grad(value, wanted)

        total, sums = 0.0, [torch.zeros_like(w) for w in wanted]
        for value, found in self._pool.map(part, pictures.split(self._part)):
            total += value
            for have, more in zip(sums, found, strict=True):
                have += more
        return total, sums

    def each(self, function: Callable[[torch.Tensor], torch.Tensor], count: int) -> torch.Tensor:
        """Concatenate ``function`` of all picture numbers below ``count``, without gradients."""

        def part(numbers: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return function(numbers)

        return torch.cat(list(self._pool.map(part, torch.arange(count).split(self._part))))


@contextmanager
def workers(numbers: int) -> Iterator[Workers]:
    """As many workers as torch has threads, each with one; torch's own setting comes back.

    ``numbers`` is the size of a picture's largest tensor between stages.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield Workers(pool, max(1, PART_NUMBERS // numbers))
    finally:
        torch.set_num_threads(threads)
