"""Tool runs remembered by content, a few at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

from golden.support.kept import read_kept, write_kept
from golden.support.locations import BUILD

CACHE = BUILD / "synth" / "cache"
Item = TypeVar("Item")
Result = TypeVar("Result")


def remembered(material: Iterable[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` returns, from a file where it was made of the same ``material`` before.

    A broken file is made again, and standard error says so.
    """
    key = hashlib.sha256("\0".join(material).encode()).hexdigest()[:32]
    path = CACHE / f"{key}.json"
    found: dict[str, Any] | None = read_kept(path)
    if found is None:
        found = make()
        write_kept(path, found)
    return found


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, label: str
) -> list[Result]:
    """Results in order, ``jobs`` calls at a time; progress goes to a terminal only.

    An exception of one call ends the others that have not begun.
    """
    pool = ThreadPoolExecutor(jobs)
    try:
        results = pool.map(function, items)
        return list(tqdm(results, total=len(items), desc=label, unit="unit", disable=None))
    finally:
        pool.shutdown(cancel_futures=True)
