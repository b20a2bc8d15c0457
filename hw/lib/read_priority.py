"""One memory read port shared by an owner that never waits and by requesters that do."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, ValueLike


def share_read(
    m: Module,
    en: Any,
    addr: Any,
    owner: tuple[ValueLike, ValueLike] | None,
    requests: Sequence[Any],
) -> None:
    """Drive ``en`` and ``addr`` from ``owner`` (en, addr), else from the first request waiting.

    ``requests`` are `ReadRequest` interfaces seen from the memory, highest priority first; their
    data is the memory's, in the cycle after the transfer, and is connected by the caller.
    """
    taken: Any = owner[0] if owner else 0
    if owner:
        m.d.comb += addr.eq(owner[1])
    for request in requests:
        m.d.comb += request.req.ready.eq(~taken if owner or request is not requests[0] else 1)
        with m.If(request.req.ready & request.req.valid):
            m.d.comb += addr.eq(request.req.p)
        taken = taken | request.req.valid
    m.d.comb += en.eq(taken)
