"""Room in memories that tensors of a windowed network take in turn."""

from __future__ import annotations

from golden.graph import ir
from hw.compiler.image.layout import norm_words
from hw.compiler.lower.products import Products
from hw.compiler.plan.sizes import NoRoomError
from hw.compiler.step import Demand, Step
from hw.formats.memories import Space, memories
from hw.isa.payload import Mem


class TurnRoom:
    """Pieces of one memory, one behind the other and again from the beginning.

    A piece is alive until the memory has been walked round: with pieces of at most half of it two
    in succession never overlap.
    """

    def __init__(self, steps: Products, space: Space) -> None:
        self._steps, self._space = steps, space
        self._words = memories(steps.config)[space].words
        self._next = self.most = 0

    def take(self, words: int) -> int:
        """The first word of the next piece; ``NoRoomError`` where it never fits."""
        if words > self._words:
            raise NoRoomError(self._space, words, self._steps.config)
        if self._next + words > self._words:
            self._next = 0
        at = self._next
        self._next += words
        self.most = max(self.most, self._next)
        return at

    def restart(self) -> None:
        """Go on at the beginning: nothing is alive."""
        self._next = 0

    def user(self, at: int, words: int) -> Step | None:
        """The last step so far that uses words of a piece."""
        return self._steps.last_user(self._space, at, at + words)


class NormRoom:
    """Parameters of LayerNorms, loaded where the last ones used so far leave room."""

    def __init__(self, steps: Products) -> None:
        self._steps = steps
        self._room = TurnRoom(steps, Space.NORM)
        self._offsets: dict[str, int] = {}
        self._there: dict[str, tuple[int, int, Demand]] = {}

    @property
    def most(self) -> int:
        """Words used so far."""
        return self._room.most

    def parameters(self, node: ir.LayerNorm) -> tuple[int, Demand]:
        """Word of the parameters of ``node`` and the load that brings them, kept if there."""
        if node.name in self._there:
            low, _, demand = self._there[node.name]
            return low, demand
        data = norm_words(node, self._steps.config)
        words = len(data) // self._steps.config.norm_bytes
        if node.name not in self._offsets:
            self._offsets[node.name] = self._steps.dram.add(data)
        low = self._room.take(words)
        high = low + words
        self._there = {n: t for n, t in self._there.items() if t[1] <= low or high <= t[0]}
        demand = self._steps.demand(
            Mem.NORM, words, self._offsets[node.name], low, after=self._room.user(low, words)
        )
        self._there[node.name] = (low, high, demand)
        return low, demand

    def forget(self) -> None:
        """A picture ends: the next one brings its parameters again."""
        self._there = {}
