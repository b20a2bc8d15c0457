"""What a proof consists of: a unit in a free environment, assumptions, promises and covers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from amaranth.hdl import Cat, ClockDomain, Module, ShapeLike, Signal, Value
from amaranth.lib import wiring

from hw.rules.rule_set import RuleSet, Side


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """The unit with one fault: ``old`` in the source of its class becomes ``new``.

    ``old`` occurs once. A proof has to reject the unit so changed: it breaks a promise, or it no
    longer reaches the cover ``blocks``. ``only`` names values of the variant's options for which
    the change makes a difference at all.
    """

    old: str
    new: str
    blocks: str = ""
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def applies(self, options: Mapping[str, Any]) -> bool:
        """Tell whether the change makes a difference in a variant."""
        return all(options[name] in values for name, values in self.only.items())


class Bench:
    """A module around a unit under proof.

    Free signals may have any value in every cycle. Promises count as long as all assumptions have
    held up to and including the cycle. Registers start at their initial values and are never
    reset.
    """

    def __init__(self) -> None:
        self.m = Module()
        self.inputs: list[Value] = []
        self.promises: dict[str, Signal] = {}
        self.covers: dict[str, Signal] = {}
        self._assumptions: list[Value] = []

    def free(self, name: str, shape: ShapeLike = 1) -> Any:
        """A signal that the environment drives as it likes."""
        signal = Signal(shape, name=name)
        self.inputs.append(Value.cast(signal))
        return signal

    def free_inputs(self, unit: wiring.Component, *, but: tuple[str, ...] = ()) -> None:
        """Let the environment drive every input of ``unit`` ``but`` some members."""
        for path, member, signal in unit.signature.flatten(unit):
            if member.flow is wiring.In and path[0] not in but:
                name = "__".join(str(step) for step in path)
                source = self.free(f"free_{name}", len(Value.cast(signal)))
                self.m.d.comb += Value.cast(signal).eq(source)

    def assume(self, condition: Any) -> None:
        """The environment keeps ``condition``."""
        self._assumptions.append(Value.cast(condition).bool())

    def promise(self, name: str, condition: Any) -> None:
        """The unit keeps ``condition``."""
        kept = Signal(name=f"kept_{name}")
        self.m.d.comb += kept.eq(Value.cast(condition).bool())
        self._new(name)
        self.promises[name] = kept

    def cover(self, name: str, condition: Any) -> None:
        """The situation ``condition`` can be reached."""
        seen = Signal(name=f"cover_{name}")
        self.m.d.comb += seen.eq(Value.cast(condition).bool())
        self._new(name)
        self.covers[name] = seen

    def _new(self, name: str) -> None:
        """Promises and covers are told apart by their names alone."""
        if name in self.promises or name in self.covers:
            raise ValueError(f"two properties are called {name!r}")

    def check(self, name: str, rules: RuleSet, side: Side, *, skip: tuple[str, ...] = ()) -> None:
        """The unit is ``side`` of an interface: promise its rules, assume those of the other.

        ``skip`` names covers that the surroundings rule out.
        """
        self.m.submodules[name] = rules
        for rule in rules.rules:
            if rule.side is side:
                self.promise(f"{name}_{rule.name}", rule.holds)
            else:
                self.assume(rule.holds)
        for cover, seen in rules.covers.items():
            if cover not in skip:
                self.cover(f"{name}_{cover}", seen)

    def finish(self) -> tuple[Module, list[Value], list[str]]:
        """The module with one output per promise and cover, its ports, the outputs' names.

        The first output is ``broken``: some promise is. An output of a promise is high in a cycle
        in which it is broken, that of a cover in one in which it is reached.
        """
        if not self.promises or not self.covers:
            raise ValueError("a proof has promises and covers")
        m = self.m
        # No reset: what is proven is what follows from the initial state.
        m.domains.sync = domain = ClockDomain(reset_less=True)
        now, so_far, fine = Signal(), Signal(init=1), Signal()
        m.d.comb += [now.eq(Cat(self._assumptions).all()), fine.eq(so_far & now)]
        m.d.sync += so_far.eq(fine)
        outputs = []
        for name, kept in self.promises.items():
            out = Signal(name=f"broken_{name}")
            m.d.comb += out.eq(fine & ~kept)
            outputs.append(out)
        every = Signal(name="broken")
        m.d.comb += every.eq(Cat(outputs).any())
        outputs.insert(0, every)
        for name, seen in self.covers.items():
            out = Signal(name=f"reached_{name}")
            m.d.comb += out.eq(fine & seen)
            outputs.append(out)
        names = ["", *self.promises, *self.covers]
        return m, [domain.clk, *self.inputs, *outputs], names


class Proof:
    """One proof; the docstring of a subclass says what is proven, in a sentence.

    Attributes:
    ----------
    unit : the unit's name for ``UNIT=``. target : the unit's class, or a function that makes
        hardware; `bench` is given it sound or with a fault. mutants : at least three. depth : 0
        for a proof for all times by property-directed reachability, else the cycles of a bounded
        one. reach : cycles within which every cover has to be reached.
    """

    unit: ClassVar[str]
    target: ClassVar[Callable[..., Any]]
    mutants: ClassVar[tuple[Mutant, ...]]
    depth: ClassVar[int] = 0
    reach: ClassVar[int] = 20
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"": {}}

    def bench(self, *target: Any, **variant: Any) -> Bench:
        """The environment around ``target(...)``; a subclass names the options of its variants."""
        raise NotImplementedError
