"""What all sets of rules share: named conditions that one side of an interface has to keep."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from amaranth.hdl import Elaboratable, Module, Signal, Value


class Side(Enum):
    """Who has to keep a rule: the side that drives addresses and requests, or the other one."""

    MASTER = "master"
    SLAVE = "slave"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule: ``name``, the paragraph it stands for, who keeps it, and the bit that says so.

    ``holds`` is combinational and low in the cycle in which the rule is broken.
    """

    name: str
    source: str
    side: Side
    holds: Signal


class RuleSet(Elaboratable):
    """Rules that watch signals and drive nothing but their own bits.

    A subclass calls `keep` and `reach` in its constructor with conditions on the signals it is
    given; it adds what it has to remember to ``m``. The set is then a submodule like any other.
    In a proof, the rules of the unit's side are asserted and those of the other assumed; in a
    simulation all are checked.

    Attributes:
    ----------
    rules : every `Rule`. covers : situations by name; rules prove little where none is reached.
    """

    def __init__(self) -> None:
        self.m = Module()
        self.rules: list[Rule] = []
        self.covers: dict[str, Signal] = {}

    def keep(self, name: str, source: str, side: Side, condition: Any) -> None:
        """``side`` keeps ``condition`` true in every cycle."""
        holds = Signal(name=f"holds_{name}")
        self.m.d.comb += holds.eq(Value.cast(condition).bool())
        self.rules.append(Rule(name=name, source=source, side=side, holds=holds))

    def reach(self, name: str, condition: Any) -> None:
        """``condition`` is a situation that has to occur."""
        seen = Signal(name=f"seen_{name}")
        self.m.d.comb += seen.eq(Value.cast(condition).bool())
        self.covers[name] = seen

    def of(self, side: Side) -> list[Rule]:
        """The rules that ``side`` has to keep."""
        return [rule for rule in self.rules if rule.side is side]

    def elaborate(self, platform: Any) -> Module:
        return self.m
