"""Many independent evaluations: on local processes, or on a Dask cluster; each counted once.

A job is a function of a module, and a task that JSON can write; so is its result. Finished results
are kept by a digest of both, so an interrupted run goes on with what is missing, and equal tasks
run once.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from golden.support.kept import read_kept, write_kept
from golden.support.progress import progress

Function = Callable[[Any], Any]
#: How often a task may take its process with it before the run gives up.
LIVES = 3
#: Seconds to wait for a scheduler's answer.
PATIENCE = 15


def run_jobs(
    function: Function,
    tasks: Sequence[Any],
    *,
    workers: int = 2,
    scheduler: str | None = None,
    keep: Path | None = None,
    title: str = "",
) -> list[Any]:
    """Return ``function(task)`` of every task, in their order.

    ``workers`` local processes take the tasks (one: this process), or the workers of the Dask
    ``scheduler`` at that address (they need this package and the same files). Results are kept
    below ``keep``.

    Raises:
        PotvitError: no scheduler answers, Dask is not installed, a task ends its process again and
            again, and whatever the function raises.
    """
    names = [_digest(function, task) for task in tasks]
    results: dict[str, Any] = {}
    missing: dict[str, Any] = {}
    for name, task in zip(names, tasks, strict=True):
        kept = read_kept(keep / f"{name}.json") if keep else None
        if kept is not None:
            results[name] = kept
        else:
            missing[name] = task
    missing = {name: task for name, task in missing.items() if name not in results}
    if missing:
        found = (
            _local(function, missing, workers)
            if scheduler is None
            else _cluster(function, missing, scheduler)
        )
        for name, result in progress(_counted(found, len(missing)), title):
            results[name] = result
            if keep:
                write_kept(keep / f"{name}.json", result)
    return [results[name] for name in names]


class _counted:  # noqa: N801
    """An iterator with a length, for the progress bar."""

    def __init__(self, items: Iterator[tuple[str, Any]], length: int) -> None:
        self._items, self._length = items, length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self._items


def _digest(function: Function, task: Any) -> str:
    text = json.dumps([function.__module__, function.__qualname__, task], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _alone() -> None:
    """Keep a process to its own core: the others take the rest."""
    os.environ["OMP_NUM_THREADS"] = "1"


def _local(function: Function, tasks: dict[str, Any], workers: int) -> Iterator[tuple[str, Any]]:
    """Results as they come; a process that dies is replaced and its task tried again."""
    if workers == 1:
        yield from ((name, function(task)) for name, task in tasks.items())
        return
    left, lives = dict(tasks), LIVES
    while left:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(workers, len(left)), context, _alone)
        try:
            futures = {pool.submit(function, task): name for name, task in left.items()}
            for future in as_completed(futures):
                result = future.result()
                del left[futures[future]]
                yield futures[future], result
        except BrokenExecutor:
            lives -= 1
            if not lives:
                raise PotvitError(
                    f"a job ended its process {LIVES} times: is there enough memory for "
                    f"{workers} at a time?"
                ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _cluster(
    function: Function, tasks: dict[str, Any], scheduler: str
) -> Iterator[tuple[str, Any]]:
    """Results of a Dask cluster as they come; it moves the tasks of a lost worker to others."""
    try:
        from distributed import Client
        from distributed import as_completed as arriving
    except ImportError:
        raise PotvitError(
            "--scheduler needs Dask: install the extra with pip install 'potvit[cluster]'"
        ) from None
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise PotvitError(f"no Dask scheduler answers at {scheduler} ({error})") from None
    with client:
        futures = [
            client.submit(function, task, key=f"potvit-{name}", retries=LIVES)
            for name, task in tasks.items()
        ]
        for future, result in arriving(futures, with_results=True):
            yield future.key.removeprefix("potvit-"), result
