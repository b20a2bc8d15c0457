"""Program order: the canonical steps sorted by when they would start with endless queues.

Dispatch is in order and a full queue holds it up, so a good program order hands every unit its
instructions in the order of time. Starts respect all waits, so the sorted order is again a valid
sequential order, and position constants come before any later load can block their consumer.
"""

from __future__ import annotations

from hw.compiler.order.depend import Ordering, chain, check_semaphores, order_units
from hw.compiler.predict.cycles import Run, predict
from hw.compiler.predict.load import fifo_capacity
from hw.compiler.predict.timing import Timing
from hw.compiler.step import Step
from hw.config import Config
from hw.isa.instruction import Unit
from hw.isa.payload import Matmul, Mem
from hw.program.regions import Extent


def program_order(
    steps: list[Step],
    config: Config,
    timing: Timing,
    dram: Extent | None = None,
    *,
    serial: bool = False,
) -> tuple[list[int], Ordering, Run]:
    """Order of step numbers, their waits and signals, and the predicted run.

    ``dram`` is the part of the window that steps may write. A ``serial`` program keeps the order of
    ``steps``, and each waits for the one before.
    """
    if serial:
        order = list(range(len(steps)))
        ordering = chain(steps)
        check_semaphores(order, steps, ordering, config)
        return order, ordering, predict(steps, ordering, order, config, timing, queued=True)
    ordering = order_units(steps, config, dram)
    canonical = list(range(len(steps)))
    ideal = predict(steps, ordering, canonical, config, timing, queued=False)
    keys = list(ideal.start)
    constants = [n for n in canonical if steps[n].footprint(config).const_rows]
    loads = [n for n in constants if steps[n].unit is Unit.LOAD]
    takers = [n for n in constants if steps[n].unit is Unit.ARRAY]
    for load, taker in zip(loads, takers, strict=True):  # no semaphore orders these two
        keys[taker] = max(keys[taker], keys[load])
    bodies = [steps[n].body for n in takers]
    if any(isinstance(body, Matmul) and body.dest is Mem.LOGIT for body in bodies):
        _hold_back(keys, steps, ordering, loads, takers, config)
    order = sorted(canonical, key=lambda n: (keys[n], n))
    check_semaphores(order, steps, ordering, config)
    return order, ordering, predict(steps, ordering, order, config, timing, queued=True)


def _hold_back(
    keys: list[int],
    steps: list[Step],
    ordering: Ordering,
    loads: list[int],
    takers: list[int],
    config: Config,
) -> None:
    """Raise ``keys`` so that the FIFO surely takes every load of constants when it is dispatched.

    Biases of logits come in many loads of a few rows. More of them than the FIFO and the queue of
    LOAD hold would keep the MATMUL from being dispatched that takes the first ones.
    """
    room = fifo_capacity(config, whole_bursts=True)
    before: dict[int, int] = {}
    first = held = 0
    for turn, load in enumerate(loads):
        held += steps[load].footprint(config).const_rows
        while held > room and first < turn:
            held -= steps[takers[first]].footprint(config).const_rows
            first += 1
        if first:
            before[load] = takers[first - 1]
    own = dict(zip(takers, loads, strict=True))
    latest = dict.fromkeys(Unit, 0)
    for number, step in enumerate(steps):
        known = [keys[other] for other in ordering.waits[number]]
        known += [keys[table[number]] for table in (before, own) if number in table]
        keys[number] = latest[step.unit] = max(keys[number], latest[step.unit], *known)
