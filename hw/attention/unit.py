"""ATTN unit: log2 softmax of one row group and head, then attention x V on shifters."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out, connect, flipped

from golden.ops.softmax import LogIntSoftmax
from hw.attention.coding_pass import CodingPass
from hw.attention.exponential import T_BITS
from hw.attention.key_store import KeyStore
from hw.attention.softmax import SoftmaxUnit
from hw.attention.summing_pass import SummingPass
from hw.attention.value_pass import ValuePass
from hw.config import CODE_BITS, Config
from hw.isa.instruction import Op
from hw.isa.layouts import payload_layout
from hw.lib.facet import Facet
from hw.lib.ports import ReadPort, ReadRequest, addr_data, write_stream
from hw.lib.unit_port import UnitPort

STALL = data.StructLayout({"no_instr": 1, "logit_read": 1, "act_write": 1, "code_write": 1})


class AttentionUnit(wiring.Component):
    """Executes ATTEND: `LogIntSoftmax` and `ShiftAttention` of R rows, all words of ACT at once.

    ```
    instr ─► SummingPass ────────► CodingPass ──────────► ValuePass ─► act_write
    logits ─►  │     └► distances ─►  │  └► code_write        │
               └─ SoftmaxUnit (sums) ─┘  └─► codes ───────────┘
    ```
    The passes work on successive instructions, the first two at one key of R rows per cycle, the
    third at P keys of 2K channels (P = D/2K). Back to back and without waits an instruction of
    ``n`` keys and ``w`` words takes the larger of ``n + 4`` and ``w * (ceil(n / P) + 1)`` cycles,
    and is done ``2n + 11 + w * (ceil(n / P) + 1)`` cycles after its transfer (the sum of what
    `hw.isa.latencies` says of the passes). A waiting code word
    or a value pass still at work holds the coding pass.

    ``stall`` bits: no instruction while the summing pass is free, a logit read not granted, a
    result or a code word not taken. ``fault`` stays up after an instruction that names words
    beyond a memory, no keys, too many keys or words, values that do not begin in bank 0, a shift
    that the array does not have, or a logit exponent below -5; it is not executed and no further
    one is taken until reset.
    """

    def __init__(self, config: Config) -> None:
        self.config = c = config
        bits = c.addr_bits
        bytes_ = c.rows * c.cols
        logits = data.ArrayLayout(signed(8), bytes_)
        values = data.ArrayLayout(signed(8), c.head_lanes)
        super().__init__(
            {
                **UnitPort(payload_layout(Op.ATTEND), STALL).members,
                "logit_read": Out(ReadRequest(bits["logit"], logits)),
                "max_read": Out(ReadPort(bits["slot"], data.ArrayLayout(signed(8), c.rows))),
                "value_read": Out(ReadPort(bits["value"], values)),
                "code_write": Out(write_stream(addr_data(bits["logit"], bytes_))),
                "act_write": Out(write_stream(addr_data(bits["act"], c.rows * c.act_bytes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        c = self.config
        m.submodules.softmax = softmax = SoftmaxUnit(
            LogIntSoftmax(form=c.exp_form), rows=c.rows, keys=c.max_keys
        )
        m.submodules.distance_store = distances = KeyStore(
            rows=c.rows, bits=T_BITS, banks=1, words=c.distance_words
        )
        m.submodules.code_store = codes = KeyStore(
            rows=c.rows, bits=CODE_BITS, banks=c.keys_per_cycle, words=c.code_words
        )
        m.submodules.summing = summing = SummingPass(c)
        m.submodules.coding = coding = CodingPass(c)
        m.submodules.value_pass = values = ValuePass(c)
        connect(m, flipped(self.instr), summing.instr)
        connect(m, summing.logit_read, flipped(self.logit_read))
        connect(m, summing.max_read, flipped(self.max_read))
        connect(m, summing.lanes, Facet(softmax, softmax.sums.flip()))
        connect(m, summing.distances, Facet(distances, distances.writes.flip()))
        connect(m, summing.o, coding.i)
        connect(m, coding.distances, Facet(distances, distances.reads.flip()))
        connect(m, coding.lanes, Facet(softmax, softmax.coding.flip()))
        connect(m, coding.codes, Facet(codes, codes.writes.flip()))
        connect(m, coding.code_write, flipped(self.code_write))
        connect(m, coding.o, values.i)
        connect(m, values.codes, Facet(codes, codes.reads.flip()))
        connect(m, values.value_read, flipped(self.value_read))
        connect(m, values.act_write, flipped(self.act_write))

        # Done when the last result and the last code word are written, whichever is later.
        unfinished = Signal()
        m.d.sync += unfinished.eq((unfinished & ~coding.written) | values.finish)
        m.d.comb += [
            values.hold.eq(unfinished),
            self.done.eq(unfinished & coding.written),
            self.busy.eq(summing.busy | coding.busy | values.pending | unfinished),
            self.fault.eq(summing.fault),
            self.stall.no_instr.eq(summing.starved),
            self.stall.logit_read.eq(_waits(self.logit_read.req)),
            self.stall.act_write.eq(_waits(self.act_write)),
            self.stall.code_write.eq(_waits(self.code_write)),
        ]
        return m


def _waits(port: Any) -> Value:
    return port.valid & ~port.ready
