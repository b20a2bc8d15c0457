"""MATMUL controller: loops over tiles, row groups and chunks, and reads their operands."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.array.mac.pe_array import CHUNK
from hw.array.tile import ADDR_BITS, DRAIN_FIELDS, tile_layout
from hw.config import Config
from hw.isa.instruction import Mem, Op
from hw.isa.layouts import payload_layout
from hw.isa.limits import MIN_TILE, PARAM_GAP

STALL = data.StructLayout({"no_instr": 1, "const": 1, "pace": 1, "params": 1})
DRAIN_DELAY = 4  # from a tile's last chunk to the load of its results


class MatmulControl(wiring.Component):
    """Issues one chunk a cycle; the next instruction follows without a gap if it is waiting.

    Last chunks are at least ``max(R, 4)`` cycles apart. A tile sweep reads its parameters, in
    ``param_words`` cycles, between two of its chunks. A tile in ``const_old`` mode issues its
    last chunk once the FIFO held its rows beyond those promised to earlier tiles, the cycle before.

    Members: ``instr``; ``act`` and ``stream``, read addresses and enables; ``chunk`` for
    `PEArray`, ``capture`` and ``index`` for `ChannelParams`, each in step with the data; ``tile``
    the record of the tile whose last chunk was issued, stable for ``DRAIN_DELAY`` cycles; inputs
    ``const_level`` and ``const_taken`` (a row left the FIFO); ``stall`` one-hot; ``macs``; ``busy``
    while an instruction issues; ``fault`` for an address or field out of range.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = config.addr_bits
        super().__init__(
            {
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
                "macs": Out(bits_for(2 * config.macs)),
                "busy": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cfg, new = self.config, self.instr.payload
        cur = Signal.like(new, reset_less=True)
        busy = Signal()
        chunk, group, tile = Signal(10), Signal(8), Signal(8)
        started = Signal()  # the instruction's first tile has been issued
        # Registers beside the counters: everything else of a cycle follows from them.
        last_chunk, last_group, last_tile, last = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            last.eq(last_chunk & last_group & last_tile),
            self.busy.eq(busy),
        ]

        # What this cycle does: a parameter word, a chunk, or nothing.
        rows, cols = Signal(range(cfg.rows + 1)), Signal(range(cfg.cols + 1))
        m.d.comb += [
            rows.eq(Mux(last_group, cur.rows_last, cfg.rows)),
            cols.eq(Mux(last_tile, cur.cols_last, cfg.cols)),
        ]
        apart = max(cfg.rows, MIN_TILE)
        age = Signal(range(max(apart, PARAM_GAP)), init=max(apart, PARAM_GAP) - 1)
        pending = Signal()
        word = Signal(range(max(2, cfg.param_words)))
        fetch, issue, finish, take = Signal(), Signal(), Signal(), Signal()
        paced, const_ready = Signal(), Signal()
        m.d.comb += [
            fetch.eq(busy & pending & (age >= PARAM_GAP - 1)),
            paced.eq(age >= apart - 1),
            issue.eq(busy & ~fetch & (~last_chunk | (paced & const_ready & ~pending))),
            finish.eq(issue & last_chunk),
            self.instr.ready.eq(~busy | (issue & last)),
            take.eq(self.instr.ready & self.instr.valid),
            self.stall.no_instr.eq(~busy),
            self.stall.params.eq(fetch | (busy & ~issue & pending & paced)),
            self.stall.pace.eq(busy & ~issue & ~fetch & ~paced),
            self.stall.const.eq(busy & ~issue & ~fetch & ~pending & paced),
        ]
        with m.If(finish):
            m.d.sync += age.eq(0)
        with m.Elif(age != age.init):
            m.d.sync += age.eq(age + 1)
        with m.If(fetch):
            m.d.sync += word.eq(word + 1)
            with m.If(word == cfg.param_words - 1):
                m.d.sync += [word.eq(0), pending.eq(0)]

        self._const(m, cur, rows, finish, const_ready)
        with m.If(take):
            m.d.sync += const_ready.eq(~_takes_constants(new))

        # Loop counters and addresses.
        names = ("a_base", "w_base", "p_base", "a_at", "w_at")
        a_base, w_base, p_base, a_at, w_at = (Signal(ADDR_BITS, name=n) for n in names)
        next_a, next_w, next_p = (Signal(ADDR_BITS, name=f"next_{n}") for n in "awp")
        half = Signal()
        new_group, new_tile = Signal(), Signal()
        m.d.comb += [
            new_group.eq(cur.group_outer & last_tile | ~cur.group_outer & ~last_group),
            new_tile.eq(~cur.group_outer & last_group | cur.group_outer & ~last_tile),
            next_a.eq(a_base), next_w.eq(w_base), next_p.eq(p_base),
        ]  # fmt: skip
        with m.If(new_group):
            m.d.comb += next_a.eq(a_base + cur.a_stride)
        with m.Elif(~cur.group_outer):
            m.d.comb += next_a.eq(cur.a_addr)
        with m.If(new_tile):
            m.d.comb += [next_w.eq(w_base + cur.w_stride), next_p.eq(p_base + cur.w_stride)]
        with m.Elif(cur.group_outer):
            m.d.comb += [next_w.eq(cur.w_addr), next_p.eq(cur.p_addr)]
        with m.If(issue):
            m.d.sync += [
                chunk.eq(chunk + 1), last_chunk.eq(chunk + 2 == cur.chunks), w_at.eq(w_at + 1),
                half.eq(~half & ~cur.w4), a_at.eq(a_at + (half | cur.w4)),
            ]  # fmt: skip
        with m.If(finish):
            m.d.sync += [
                chunk.eq(0), last_chunk.eq(cur.chunks == 1), half.eq(0), started.eq(1),
                busy.eq(~last),
                a_base.eq(next_a), a_at.eq(next_a), w_base.eq(next_w), w_at.eq(next_w),
                p_base.eq(next_p),
                pending.eq(~cur.shared_params & Mux(cur.group_outer, cur.tiles != 1, last_group)),
            ]  # fmt: skip
            with m.If(new_group):
                m.d.sync += [group.eq(group + 1), last_group.eq(group + 2 == cur.groups)]
            with m.Elif(~cur.group_outer):
                m.d.sync += [group.eq(0), last_group.eq(cur.groups == 1)]
            with m.If(new_tile):
                m.d.sync += [tile.eq(tile + 1), last_tile.eq(tile + 2 == cur.tiles)]
            with m.Elif(cur.group_outer):
                m.d.sync += [tile.eq(0), last_tile.eq(cur.tiles == 1)]
        with m.If(take):
            m.d.sync += [
                cur.eq(new), busy.eq(1), chunk.eq(0), group.eq(0), tile.eq(0), started.eq(0),
                last_chunk.eq(new.chunks == 1), last_group.eq(new.groups == 1),
                last_tile.eq(new.tiles == 1),
                half.eq(0), pending.eq(~new.keep_params), a_base.eq(new.a_addr),
                a_at.eq(new.a_addr), w_base.eq(new.w_addr), w_at.eq(new.w_addr),
                p_base.eq(new.p_addr),
            ]  # fmt: skip

        p_at, stream_at = Signal(ADDR_BITS), Signal(ADDR_BITS)
        m.d.comb += [
            p_at.eq(p_base + word),
            stream_at.eq(Mux(fetch, p_at, w_at)),
            self.act_en.eq(issue), self.act_addr.eq(a_at),
            self.stream_en.eq(issue | fetch), self.stream_addr.eq(stream_at),
        ]  # fmt: skip
        m.d.sync += [
            self.chunk.valid.eq(issue), self.chunk.half.eq(half), self.chunk.w4.eq(cur.w4 & ~fetch),
            self.chunk.first.eq(chunk == 0), self.chunk.last.eq(last_chunk),
            self.chunk.zero_row.eq(cur.zero_first & (group == 0)),
        ]  # fmt: skip
        fetched, index = Signal(), Signal.like(word)
        m.d.sync += [
            fetched.eq(fetch),
            index.eq(word),
            self.capture.eq(fetched),
            self.index.eq(index),
        ]
        with m.If(finish):
            m.d.sync += [self.tile[name].eq(cur[name]) for name in DRAIN_FIELDS]
            m.d.sync += [
                self.tile.rows.eq(rows), self.tile.cols.eq(cols),
                self.tile.instr_first.eq(~started), self.tile.instr_last.eq(last),
                self.tile.group_first.eq(group == 0), self.tile.tile_first.eq(tile == 0),
                self.tile.tile_last.eq(last_tile),
            ]  # fmt: skip

        zero_row = cur.zero_first & (group == 0)
        self._macs(m, issue, rows - zero_row, cols, Mux(
            last_chunk, cur.k_last, Mux(cur.w4, 2 * cfg.lanes, cfg.lanes)
        ))  # fmt: skip
        m.d.sync += self.fault.eq(
            (take & self._illegal(new))
            | (issue & (a_at >= cfg.act_words))
            | (self.stream_en & (stream_at >= cfg.stream_words))
        )
        return m

    def _const(
        self, m: Module, cur: Any, rows: Signal, finish: Signal, const_ready: Signal
    ) -> None:
        """Promise rows of the constant FIFO to tiles.

        ``const_ready`` is a register: a row taken leaves level and promise alike, so what held
        holds, and the next last chunk is `MIN_TILE` cycles away.
        """
        promised = Signal.like(self.const_level)
        wanted = Signal()
        m.d.comb += wanted.eq(_takes_constants(cur))
        m.d.sync += [
            promised.eq(promised + Mux(finish & wanted, rows, 0) - self.const_taken),
            const_ready.eq(~wanted | (~finish & (self.const_level >= promised + rows))),
        ]

    def _macs(self, m: Module, issue: Signal, rows: Value, cols: Value, depth: Value) -> None:
        """Useful products of a cycle, two cycles later; zero, and never undefined, without one."""
        outputs, k = Signal(range(self.config.rows * self.config.cols + 1)), Signal(6)
        m.d.sync += [
            outputs.eq(Mux(issue, rows * cols, 0)), k.eq(Mux(issue, depth, 0)),
            self.macs.eq(outputs * k),
        ]  # fmt: skip

    def _illegal(self, new: Any) -> Value:
        """A field that no program may hold."""
        cfg = self.config
        empty = [new[n] == 0 for n in ("chunks", "groups", "tiles", "rows_last", "cols_last")]
        bad = (new.rows_last > cfg.rows) | (new.cols_last > cfg.cols) | (new.dest > Mem.OUT)
        bad |= (new.dest == Mem.STREAM) & (new.sub >= cfg.cols)
        for condition in empty:
            bad |= condition
        return bad if cfg.four_bit else bad | new.w4


def _takes_constants(instr: Any) -> Value:
    """Whether the old residuals of an instruction are position constants."""
    return instr.const_old & (instr.dest == Mem.RESIDUAL)
