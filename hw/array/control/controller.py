"""MATMUL controller: its parts, and the order in which they go through an instruction."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from golden.ops.psmac import MacMode
from hw.array.control.constant_rows import ConstantRows
from hw.array.control.loop_nest import LoopNest
from hw.array.control.operand_walk import OperandWalk
from hw.array.control.pace import STALL, Pace
from hw.array.control.product_count import ProductCount
from hw.array.control.tile_record import TileRecord
from hw.array.mac.pe_array import CHUNK
from hw.array.tile import ADDR_BITS, tile_layout
from hw.config import Config
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import payload_layout


class MatmulControl(wiring.Component):
    """Issues one chunk a cycle; the next instruction follows without a gap if it is waiting.

    `Pace` decides what a cycle does and takes instructions; `LoopNest` knows where the instruction
    stands, `OperandWalk` what lies there; `TileRecord` tells the drain about finished tiles;
    `ConstantRows` holds back a tile whose constants have not come; `ProductCount` counts.

    Members
    -------
    instr : instructions.
    act_en, act_addr, stream_en, stream_addr : reads of operands and parameters.
    wide : read the words behind the operands too, for a chunk of 4x4 products; x4 : such a chunk
        is there, in step with ``chunk``. Both only where the configuration has these.
    chunk : for `PEArray`; ``capture`` and ``index`` : for `ChannelParams`; each in step with data.
    tile : the record of the tile whose last chunk was issued, stable until the next one is:
        `MIN_TILE` cycles at least.
    const_level, const_taken : rows in the FIFO of constants; one of them leaves it.
    stall, busy : as of `Pace`. macs : as of `ProductCount`.
    fault : an address or field was out of range.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._narrow = config.precision.has(MacMode.W4A4)
        bits = config.addr_bits
        super().__init__(
            ({"wide": Out(1), "x4": Out(1)} if self._narrow else {})
            | {
                "instr": In(stream.Signature(payload_layout(Op.MATMUL))),
                "act_en": Out(1),
                "act_addr": Out(bits["act"]),
                "stream_en": Out(1),
                "stream_addr": Out(bits["stream"]),
                "chunk": Out(CHUNK),
                "capture": Out(1),
                "index": Out(range(max(2, config.param_words))),
                "tile": Out(tile_layout(config)),
                "const_level": In(range(config.const_rows + 1)),
                "const_taken": In(1),
                "stall": Out(STALL),
                "macs": Out(bits_for(config.most_macs)),
                "busy": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cfg, new = self.config, self.instr.payload
        m.submodules.pace = pace = Pace(cfg)
        m.submodules.nest = nest = LoopNest()
        m.submodules.walk = walk = OperandWalk(cfg)
        m.submodules.record = record = TileRecord(cfg)
        m.submodules.constants = constants = ConstantRows(cfg)
        m.submodules.count = count = ProductCount(cfg)
        take, stream_at = Signal(), Signal(ADDR_BITS)
        for part, fields in (
            (nest, nest.loops), (walk, walk.operands), (record, record.results),
            (constants, constants.addition), (count, count.depth),
        ):  # fmt: skip
            m.d.comb += [part.begin.eq(take), *_same_fields(fields, new)]
        m.d.comb += [
            take.eq(self.instr.valid & self.instr.ready),
            self.instr.ready.eq(pace.instr.ready), pace.instr.valid.eq(self.instr.valid),
            *_same_fields(pace.instr.p, new),
            pace.last_chunk.eq(nest.chunk.last), pace.last.eq(nest.last),
            pace.new_sweep.eq(nest.tile.step & ~(nest.tile.first & nest.tile.last)),
            pace.const_ready.eq(constants.ready),
            nest.step.eq(pace.issue),
            walk.chunk.eq(nest.chunk), walk.group.eq(nest.group), walk.tile.eq(nest.tile),
            record.group.eq(nest.group), record.tile.eq(nest.tile), record.last.eq(nest.last),
            record.finish.eq(pace.finish),
            constants.rows.eq(record.rows), constants.finish.eq(pace.finish),
            constants.level.eq(self.const_level), constants.taken.eq(self.const_taken),
            count.issue.eq(pace.issue), count.last_chunk.eq(nest.chunk.last),
            count.rows.eq(record.rows - record.zero_row), count.cols.eq(record.cols),
            stream_at.eq(Mux(pace.fetch, walk.params + pace.word, walk.weight)),
            self.act_en.eq(pace.issue), self.act_addr.eq(walk.act),
            self.stream_en.eq(pace.issue | pace.fetch), self.stream_addr.eq(stream_at),
            self.tile.eq(record.record), self.macs.eq(count.macs),
            self.stall.eq(pace.stall), self.busy.eq(pace.busy),
        ]  # fmt: skip
        self._in_step(m, pace, nest, walk, record)
        last_act, last_stream = walk.act, stream_at
        if self._narrow:
            m.d.comb += self.wide.eq(pace.issue & walk.x4)
            m.d.sync += self.x4.eq(self.wide)
            last_act, last_stream = walk.act + self.wide, stream_at + self.wide
        m.d.sync += self.fault.eq(
            (take & self._illegal(new))
            | (pace.issue & (last_act >= cfg.act_words))
            | (self.stream_en & (last_stream >= cfg.stream_words))
        )
        return m

    def _in_step(
        self, m: Module, pace: Pace, nest: LoopNest, walk: OperandWalk, record: TileRecord
    ) -> None:
        """What goes with the data that memories show in the next cycle."""
        fetched, index = Signal(), Signal.like(self.index)
        m.d.sync += [
            self.chunk.valid.eq(pace.issue),
            self.chunk.half.eq(walk.half),
            self.chunk.w4.eq(walk.w4 & ~pace.fetch),
            self.chunk.first.eq(nest.chunk.first),
            self.chunk.last.eq(nest.chunk.last),
            self.chunk.zero_row.eq(record.zero_row),
            # The array registers parameter words like weights, a cycle later.
            fetched.eq(pace.fetch),
            index.eq(pace.word),
            self.capture.eq(fetched),
            self.index.eq(index),
        ]

    def _illegal(self, new: Any) -> Value:
        """A field that no program may hold."""
        cfg = self.config
        empty = [new[n] == 0 for n in ("chunks", "groups", "tiles", "rows_last", "cols_last")]
        bad = (new.rows_last > cfg.rows) | (new.cols_last > cfg.cols) | (new.dest > Mem.OUT)
        bad |= (new.dest == Mem.STREAM) & (new.sub >= cfg.cols)
        for condition in empty:
            bad |= condition
        if self._narrow:
            bad |= new.x4 & ~new.w4
        return bad if cfg.precision.has(MacMode.W4) else bad | new.w4


def _same_fields(to: Any, instr: Any) -> list[Any]:
    """Assignments of the fields of an instruction that a part wants."""
    return [to[name].eq(instr[name]) for name, _ in to.shape()]
