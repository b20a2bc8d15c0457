"""Attention of one block, head by head, and its projection."""

from __future__ import annotations

from golden.graph import ir
from hw.compiler.frontend.network import Block
from hw.compiler.frontend.refuse import attention_point
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import Tiles, pad_heads, parameters
from hw.compiler.lower.emitter import Emitter, Target
from hw.compiler.lower.norm import NormLowering
from hw.compiler.lower.weights import added_tiles, requantized_tiles
from hw.compiler.plan.allocate import Part, Region, split
from hw.compiler.step import Demand
from hw.formats.memories import Access, Space
from hw.isa.instruction import Mem, Op
from hw.lib.numbers import ceil_div, round_up

#: Row groups of the projection's first sweep that wait for their attention together.
FIRST_SWEEP_GROUPS = 4


class AttentionLowering:
    """Lowers the attention of block number ``index``."""

    def __init__(self, block: Block, index: int, emitter: Emitter, outputs: Outputs) -> None:
        self.block, self.index = block, index
        self.emitter, self.outputs, self.plan = emitter, outputs, emitter.plan
        self.heads = block.scores.heads
        self.dim = block.q.weight.shape[0] // self.heads
        self.padded = round_up(self.dim, emitter.config.act_bytes)
        self.whole = Part(0, self.plan.groups)

    def lower(self) -> None:
        """Q, K, V, scores, softmax and A x V of every head."""
        self.emitter.begin_layer(f"{self.block.name}.attention")
        for head in range(self.heads):
            self._project_head(head)
            self._attend_head(head)

    def project(self, ln2: NormLowering) -> None:
        """The projection back to the residual stream and the LayerNorm behind it."""
        emitter = self.emitter
        emitter.begin_layer(f"{self.block.name}.proj")
        proj, res1 = self.block.proj, self.block.res1
        weight = pad_heads(proj.weight, self.heads, self.dim, self.padded)
        tiles = added_tiles(emitter, proj, weight, res1, self.block.ln2.alpha)
        region = Region(self.plan.attn.base, self.heads * self.padded // emitter.config.act_bytes)
        self.outputs.act(self.block.attn.output, region, self.whole, self.heads)
        for part in self.plan.parts:
            self._first_sweep(tiles, region, part)
            self.outputs.residual(res1.output, part)
            ln2.run(part)

    def _first_sweep(self, tiles: Tiles, region: Region, part: Part) -> None:
        """The projection of one token block; its first tiles follow the attention closely."""
        emitter, target = self.emitter, self.emitter.residual_target()
        for segment in emitter.segments(tiles):
            demand = emitter.demand_tiles(tiles, *segment)
            pieces = [part]
            if segment[0] == 0:
                pieces = split(part.groups, ceil_div(part.groups, FIRST_SWEEP_GROUPS), part.first)
                if segment[1] > 1:
                    for piece in pieces:
                        emitter.matmul(tiles, demand, (0, 1), region, piece, target)
                    rest = emitter.matmul(tiles, demand, (1, segment[1] - 1), region, part, target)
                    rest.tile_word = tiles.pitch
                    continue
            for piece in pieces:
                emitter.matmul(tiles, demand, segment, region, piece, target)

    def _project_head(self, head: int) -> None:
        """K, Q and V of one head; in token blocks for the head that follows LayerNorm."""
        emitter, plan, config = self.emitter, self.plan, self.emitter.config
        rows = slice(head * self.dim, (head + 1) * self.dim)
        stride = self.padded // config.lanes
        targets = (
            (
                self.block.k,
                Target(
                    dest=Mem.STREAM,
                    base=plan.keys,
                    per_group=stride,
                    per_tile=config.cols // config.lanes,
                    space=Space.STREAM,
                ),
            ),
            (self.block.q, emitter.act_target(self._queries())),
            (
                self.block.v,
                Target(
                    dest=Mem.VALUE,
                    base=self._values(head),
                    per_group=0,
                    per_tile=0,
                    space=Space.VALUE,
                ),
            ),
        )
        sweeps = [(requantized_tiles(emitter, node, rows), target) for node, target in targets]
        for part in plan.parts if head == 0 else (self.whole,):
            for tiles, target in sweeps:
                emitter.sweep(tiles, plan.x, part, target)
        self.outputs.keys(self.block.k.output, plan.keys, stride, head, self.heads)
        words = self.padded // config.act_bytes
        self.outputs.head_act(self.block.q.output, plan.q, words, head, self.heads)
        self.outputs.values(self.block.v.output, self._values(head), head, self.heads)

    def _queries(self) -> Region:
        return Region(self.plan.q.base, self.padded // self.emitter.config.act_bytes)

    def _values(self, head: int) -> int:
        sets = self.plan.values
        return sets[(self.index * self.heads + head) % len(sets)]

    def _attend_head(self, head: int) -> None:
        """Scores row group by row group, each followed by its softmax and A x V."""
        emitter, plan, config = self.emitter, self.plan, self.emitter.config
        shift = int(self.block.scores.shift[head])
        params = parameters(config, config.cols, shift=shift, name=self.block.scores.name)
        size = round_up(params.size, config.axi_bytes)
        data = params.tobytes().ljust(size, b"\0")
        words = size // config.stream_bytes
        demand = emitter.demand(Mem.STREAM, words, config.stream_bytes, emitter.dram.add(data))
        for group in range(plan.groups):
            number = (self.index * self.heads + head) * plan.groups + group
            slot = number % plan.slots
            self._score(head, group, slot, demand)
            self.outputs.scores(self.block.scores.output, slot * plan.key_tiles, head, group)
            self._attend(head, group, slot)
            self.outputs.scores(self.block.softmax.output, slot * plan.key_tiles, head, group)

    def _score(self, head: int, group: int, slot: int, demand: Demand) -> None:
        plan, config = self.plan, self.emitter.config
        queries = self._queries()
        stride = self.padded // config.lanes
        chunks = ceil_div(self.dim, config.lanes)
        part = Part(group, 1)
        logits = Access(Space.LOGIT, slot * plan.key_tiles, (slot + 1) * plan.key_tiles)
        self.emitter.add(
            Op.MATMUL,
            {
                "a_addr": queries.base + group * queries.stride,
                "a_stride": queries.stride,
                "w_addr": plan.keys,
                "w_stride": stride,
                "chunks": chunks,
                "tiles": plan.key_tiles,
                "groups": 1,
                "rows_last": plan.rows_last(part),
                "cols_last": plan.tokens - (plan.key_tiles - 1) * config.cols,
                "k_last": self.dim - (chunks - 1) * config.lanes,
                "dest": int(Mem.LOGIT),
                "d_addr": slot * plan.key_tiles,
                "d_step": 1,
                "slot": slot,
                "group_outer": 1,
                "shared_params": 1,
                "keep_params": int(group > 0),
            },
            needs=[demand],
            tile=demand,
            reads=[
                queries.access(group, 1),
                Access(Space.STREAM, plan.keys, plan.keys + plan.key_tiles * stride),
            ],
            writes=[logits, Access(Space.MAXIMA, slot, slot + 1)],
        )
        demand.users += 1

    def _attend(self, head: int, group: int, slot: int) -> None:
        plan, config, softmax = self.plan, self.emitter.config, self.block.softmax
        half = softmax.fmt is ir.AttnFormat.HALF
        words = self.padded // config.act_bytes
        address = plan.attn.base + (group * self.heads + head) * words
        values = self._values(head)
        logits = Access(Space.LOGIT, slot * plan.key_tiles, (slot + 1) * plan.key_tiles)
        checkpoints = self.outputs.enabled
        self.emitter.add(
            Op.ATTEND,
            {
                "l_addr": slot * plan.key_tiles,
                "slot": slot,
                "keys": plan.tokens,
                "frac": -int(softmax.logit_exp[head]),
                "half": int(half),
                "fq": int(softmax.rule.fq),
                "odd": softmax.rule.odd,
                "even": softmax.rule.even,
                "v_addr": values,
                "shift": int(self.block.attn.shift[head]) + attention_point(self.block.attn),
                "d_addr": address,
                "d_words": words,
                "write_codes": int(checkpoints),
            },
            reads=[
                logits,
                Access(Space.MAXIMA, slot, slot + 1),
                Access(Space.VALUE, values, values + plan.tokens),
            ],
            writes=[Access(Space.ACT, address, address + words)] + [logits] * checkpoints,
        )
