"""Memory port signatures shared by units and buffers (docs/architecture.md, Unit interfaces)."""

from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature


class ReadPort(Signature):
    """Owned read port, seen from the reader: ``data`` answers ``addr`` one cycle after ``en``."""

    def __init__(self, addr_bits: int, shape: ShapeLike) -> None:
        super().__init__({"en": Out(1), "addr": Out(addr_bits), "data": In(shape)})


class NextPort(Signature):
    """Beside a `ReadPort`, seen from the reader: with ``en`` the word behind is read too."""

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"en": Out(1), "data": In(shape)})


class WritePort(Signature):
    """Write port that never stalls, seen from the writer; ``payload`` holds addr, data, ..."""

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"en": Out(1), "payload": Out(shape)})


class ReadRequest(Signature):
    """Arbitrated read, seen from the reader: ``data`` is valid the cycle after a transfer."""

    def __init__(self, addr_bits: int, shape: ShapeLike) -> None:
        super().__init__({"req": Out(stream.Signature(addr_bits)), "data": In(shape)})


def write_stream(shape: ShapeLike) -> stream.Signature:
    """A stallable write: a stream whose payload holds addr, data and selectors."""
    return stream.Signature(shape)


def addr_data(addr_bits: int, bytes_: int, **extra: ShapeLike) -> data.StructLayout:
    """Payload of a write: ``addr``, ``data`` (bytes) and named selector fields."""
    return data.StructLayout({"addr": addr_bits, **extra, "data": data.ArrayLayout(8, bytes_)})
