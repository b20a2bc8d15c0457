"""Rules of a stream: what is offered stays until it is taken."""

from typing import Any

from amaranth.hdl import Cat, Signal, Value

from hw.rules.rule_set import RuleSet, Side


def held(rules: RuleSet, name: str, port: Any, source: str, side: Side) -> None:
    """Two rules on the channel ``port``: its VALID stays up, its payload the same, until READY."""
    payload = Cat(Value.cast(port.payload))
    waited, before = Signal(name=f"{name}_waited"), Signal(len(payload), name=f"{name}_before")
    rules.m.d.sync += [waited.eq(port.valid & ~port.ready), before.eq(payload)]
    rules.keep(f"{name}_valid_stays", source, side, ~waited | port.valid)
    rules.keep(f"{name}_payload_stays", source, side, ~waited | (payload == before))
    rules.reach(f"{name}_waits", waited & port.valid & port.ready)


class StreamRules(RuleSet):
    """A stream of `amaranth.lib.stream` whose source neither withdraws nor changes an offer.

    Amaranth's own rules of data transfer; the source counts as the master.
    """

    def __init__(self, port: Any, name: str = "stream") -> None:
        super().__init__()
        held(self, name, port, "amaranth.lib.stream, data transfer rules", Side.MASTER)
