"""One sequential order of main steps and loads: every load as early as its room allows.

The result is the canonical order: executed one instruction after the other it computes the
network, and ``depend`` derives from it which order the units must keep.
"""

from __future__ import annotations

from collections import deque

from golden.support.errors import PotvitError
from hw.compiler.step import Demand, Step
from hw.config import Config
from hw.isa.payload import Matmul, Op


class StreamRing:
    """Weights in the stream buffer: allocated in load order, freed when their users are placed.

    ``words`` are theirs alone; up to ``most`` there are keys at times.
    """

    def __init__(self, words: int, most: int) -> None:
        self.words, self.most = words, most
        self._live: deque[Demand] = deque()
        self._next = 0

    def place(self, demand: Demand, *, beyond: bool = False) -> bool:
        """Give ``demand`` an address, also ``beyond`` the ring; False while there is no room."""
        end = self.most if beyond else self.words
        while self._live and self._live[0].users == 0:
            self._live.popleft()
        if not self._live:
            self._next = 0
            if demand.words > end:
                return False
        else:
            tail = self._live[0].address
            wrapped = self._next <= tail
            if self._next + demand.words > (min(tail, end) if wrapped else end):
                if wrapped or demand.words > tail:
                    return False
                self._next = 0
        demand.address = self._next
        self._next += demand.words
        self._live.append(demand)
        return True


def merge(main: list[Step], loads: list[Demand], config: Config, ring_words: int) -> list[Step]:
    """Interleave ``loads`` (in order) with ``main`` (in order); fills in ring addresses.

    Raises ``PotvitError`` if a step's weights cannot be placed before it.
    """
    ring = StreamRing(ring_words, config.stream_words)
    order: list[Step] = []
    placed: set[int] = set()
    waiting = deque(loads)
    for step in main:
        while waiting and _place(waiting[0], step, ring, placed):
            order.append(waiting[0].step)
            placed.add(id(waiting.popleft().step))
        for need in step.needs:
            if id(need.step) not in placed:
                raise PotvitError(
                    f"buffer STREAM of configuration {config.name!r} lacks "
                    f"{max(need.words, 1) * config.stream_bytes} bytes for one more load: "
                    f"raise stream_words"
                )
        if step.op is Op.MATMUL and step.tile is not None:
            _point(step, step.tile, config)
            step.tile.users -= 1
        order.append(step)
        placed.add(id(step))
    return order


def _place(demand: Demand, step: Step, ring: StreamRing, placed: set[int]) -> bool:
    if demand.consumer is not None and demand.consumer is not step:
        return False
    if demand.after is not None and id(demand.after) not in placed:
        return False
    if demand.ring:
        beyond = demand.beyond is True or id(demand.beyond) in placed
        if not ring.place(demand, beyond=beyond):
            return False
        demand.step.change(addr=demand.address)
    return True


def _point(step: Step, tile: Demand, config: Config) -> None:
    """Fill in the addresses of parameters and weights."""
    at = tile.address + step.tile_word
    step.change(p_addr=at)
    assert isinstance(step.body, Matmul)
    if not step.body.shared_params:
        step.change(w_addr=at + config.param_words)
