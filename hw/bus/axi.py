"""AXI4 and AXI4-Lite interfaces as bundles of streams (one stream per AXI channel).

Only what the accelerator issues is represented: one ID (0), INCR bursts of the full bus width.
Addresses are 40 bits. What the pins have besides (`CONSTANTS`, IDs and addresses of other widths)
is the top's business. AMBA AXI4, ARM IHI 0022.
"""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from hw.bus.widths import ADDR_BITS, LITE_ADDR_BITS

BURST_INCR = 1
RESP_OKAY = 0
RESP_SLVERR = 2
RESP_DECERR = 3
PAGE_BYTES = 4096
#: Attributes of an address that never change, and their widths: AxPROT and AxCACHE are constants of
#: the configuration, nothing is exclusive (AxLOCK), and no burst is better than another (AxQOS).
CONSTANTS = {"prot": 3, "cache": 4, "lock": 1, "qos": 4}


def address_layout() -> data.StructLayout:
    """AR or AW: ``addr`` in bytes, ``len`` beats minus one, ``size`` log2 of the beat bytes."""
    return data.StructLayout({"addr": ADDR_BITS, "id": 1, "len": 8, "size": 3, "burst": 2})


def read_layout(data_bytes: int) -> data.StructLayout:
    """R channel of ``data_bytes`` per beat."""
    return data.StructLayout({"data": 8 * data_bytes, "id": 1, "resp": 2, "last": 1})


def write_layout(data_bytes: int) -> data.StructLayout:
    """W channel of ``data_bytes`` per beat."""
    return data.StructLayout({"data": 8 * data_bytes, "strb": data_bytes, "last": 1})


def response_layout() -> data.StructLayout:
    """B channel."""
    return data.StructLayout({"id": 1, "resp": 2})


class AxiRead(Signature):
    """Read channels seen from the master, ``data_bytes`` wide."""

    def __init__(self, data_bytes: int) -> None:
        super().__init__(
            {
                "ar": Out(stream.Signature(address_layout())),
                "r": In(stream.Signature(read_layout(data_bytes))),
            }
        )


class AxiWrite(Signature):
    """Write channels seen from the master, ``data_bytes`` wide."""

    def __init__(self, data_bytes: int) -> None:
        super().__init__(
            {
                "aw": Out(stream.Signature(address_layout())),
                "w": Out(stream.Signature(write_layout(data_bytes))),
                "b": In(stream.Signature(response_layout())),
            }
        )


class AxiLite(Signature):
    """AXI4-Lite, 32-bit data, ``addr_bits`` of byte address, seen from the master."""

    def __init__(self, addr_bits: int = LITE_ADDR_BITS) -> None:
        address = data.StructLayout({"addr": addr_bits, "prot": 3})
        super().__init__(
            {
                "aw": Out(stream.Signature(address)),
                "w": Out(stream.Signature(data.StructLayout({"data": 32, "strb": 4}))),
                "b": In(stream.Signature(data.StructLayout({"resp": 2}))),
                "ar": Out(stream.Signature(address)),
                "r": In(stream.Signature(data.StructLayout({"data": 32, "resp": 2}))),
            }
        )
