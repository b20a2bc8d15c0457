"""A part of a component's ports as one interface, for `amaranth.lib.wiring.connect`."""

from __future__ import annotations

from typing import Any

from amaranth.lib.wiring import Component, Member, Signature


class Facet:
    """The ports of ``component`` that ``signature`` names, to connect together.

    A component that has more ports than one interface declares those of each beside one another,
    ``{**UnitPort(...).members, **MasterPort().members}``, so that they keep their short names; a
    facet shows those of one interface again:
    ``connect(m, sequencer.issue[u], Facet(unit, IssuePort(...).flip()))``. The signature is as
    seen from outside the component; inside it, for its own ports, ``flipped(Facet(self, ...))``.

    Raises ``TypeError`` for a port that the component lacks or declares otherwise.
    """

    def __init__(self, component: Component, signature: Signature) -> None:
        ports = component.signature.members
        for name, member in signature.members.items():
            if name not in ports or not _alike(ports[name], member):
                raise TypeError(f"{type(component).__name__} has no port {name} as {member}")
            setattr(self, name, getattr(component, name))
        # The component's own members: `connect` knows nested signatures by identity.
        self.signature = Signature({name: ports[name] for name in signature.members})

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.signature} has no port {name}")


def _alike(a: Member, b: Member) -> bool:
    """Whether two members are the same but for the classes of their signatures."""
    if (a.flow, a.dimensions, a.is_port) != (b.flow, b.dimensions, b.is_port):
        return False
    if a.is_port:
        return bool(a.shape == b.shape and a.init == b.init)
    x, y = a.signature.members, b.signature.members
    return x.keys() == y.keys() and all(_alike(x[name], y[name]) for name in x)
