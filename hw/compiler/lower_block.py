"""One transformer block: attention head by head, projection, MLP, in token blocks."""

from __future__ import annotations

from dataclasses import dataclass

from golden import ir
from hw.compiler.allocate import Part, Region, split
from hw.compiler.checkpoints import Outputs
from hw.compiler.emitter import Emitter, Target
from hw.compiler.layout import (
    Tiles,
    add_tiles,
    ceil_div,
    norm_words,
    pad_heads,
    parameters,
    round_up,
)
from hw.compiler.network import Block, Network
from hw.compiler.refuse import attention_point
from hw.compiler.step import Access, Demand, Space
from hw.isa import Mem, Op

#: Row groups of the projection's first sweep that wait for their attention together.
FIRST_SWEEP_GROUPS = 4


@dataclass(kw_only=True)
class NormLowering:
    """LayerNorm number ``index`` of the network: parameters loaded early, run per token block."""

    node: ir.LayerNorm
    index: int
    channels: int
    emitter: Emitter
    outputs: Outputs
    offset: int = -1
    params: tuple[Demand, int] | None = None

    def load(self) -> None:
        """Ask for the parameters at this place of the load order."""
        config = self.emitter.config
        self.offset = self.emitter.dram.add(norm_words(self.node, config))
        self.params = self.emitter.norm_params(self.offset, self.index)

    def run(self, part: Part) -> None:
        """Normalise the tokens of one block into the x region."""
        assert self.params is not None
        first, count = self.emitter.plan.token_range(part)
        self.emitter.norm(self.params, self.channels, self.node.shift, first, count)
        self.outputs.act(self.node.output, self.emitter.plan.x, part)


class BlockLowering:
    """Lowers block number ``index``; ``next_alpha`` are the PTF exponents of its result."""

    def __init__(
        self, network: Network, index: int, emitter: Emitter, outputs: Outputs, next_alpha: ir.Array
    ) -> None:
        self.block: Block = network.blocks[index]
        self.index = index
        self.emitter = emitter
        self.outputs = outputs
        self.plan = emitter.plan
        self.next_alpha = next_alpha
        self.channels = network.channels
        self.heads = self.block.scores.heads
        self.dim = self.block.q.weight.shape[0] // self.heads
        self.padded = round_up(self.dim, emitter.config.act_bytes)
        self.whole = Part(0, self.plan.groups)

    def linear(self, node: ir.Linear) -> Tiles:
        """Weight tiles of a requantizing layer."""
        return self._tiles(node, slice(None))

    def _tiles(self, node: ir.Linear, rows: slice) -> Tiles:
        assert node.shift is not None
        weight = node.weight[rows]
        params = parameters(
            self.emitter.config,
            weight.shape[0],
            bias=node.bias[rows],
            shift=node.shift[rows],
            name=node.name,
        )
        return add_tiles(self.emitter.dram, self.emitter.config, weight, node.bits, params)

    def adder(self, node: ir.Linear, weight: ir.Array, add: ir.Residual, alpha: ir.Array) -> Tiles:
        """Weight tiles of a layer that ends in the residual adder."""
        params = parameters(
            self.emitter.config,
            weight.shape[0],
            bias=node.bias,
            shift=add.shift,
            la=add.la,
            lo=add.lo,
            alpha=alpha,
            name=add.name,
        )
        return add_tiles(self.emitter.dram, self.emitter.config, weight, node.bits, params)

    def attention(self, ln2: NormLowering) -> None:
        """Q, K, V, scores, softmax and A x V of every head, then the projection."""
        emitter = self.emitter
        emitter.begin_layer(f"{self.block.name}.attention")
        ln2.load()
        for head in range(self.heads):
            self._project_head(head)
            self._attend_head(head)
        self._gelu_table()
        emitter.begin_layer(f"{self.block.name}.proj")
        proj, res1 = self.block.proj, self.block.res1
        weight = pad_heads(proj.weight, self.heads, self.dim, self.padded)
        tiles = self.adder(proj, weight, res1, self.block.ln2.alpha)
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
        sweeps = [(self._tiles(node, rows), target) for node, target in targets]
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

    def _gelu_table(self) -> None:
        """Ask for this block's table: one copy, so the last fc1 must be through."""
        emitter = self.emitter
        table = self.block.gelu.table.astype("int8").tobytes()
        previous = next((s for s in reversed(emitter.main) if s.fields.get("gelu")), None)
        self.gelu = emitter.demand(Mem.GELU, 256, 1, emitter.dram.add(table), after=previous)

    def mlp(self, after: NormLowering) -> None:
        """fc1, GELU, fc2 and the LayerNorm ``after`` them."""
        plan, hidden = self.plan, self.plan.hidden
        width = self.emitter.config.act_bytes
        stride = ceil_div(self.block.fc1.weight.shape[0], width)
        after.load()
        fc1 = self.linear(self.block.fc1)
        fc2 = self.adder(self.block.fc2, self.block.fc2.weight, self.block.res2, self.next_alpha)
        if plan.whole_hidden:
            region = Region(hidden.base, stride)
            for part in plan.parts:
                self._fc1(fc1, region, part)
            for part in plan.parts:
                self._fc2(fc2, region, part, after)
            return
        for part in plan.parts:
            region = Region(hidden.base - part.first * stride, stride)
            self._fc1(fc1, region, part)
            self._fc2(fc2, region, part, after)

    def _fc1(self, tiles: Tiles, region: Region, part: Part) -> None:
        self.emitter.begin_layer(f"{self.block.name}.fc1")
        target = self.emitter.act_target(region)
        for step in self.emitter.sweep(tiles, self.plan.x, part, target, gelu=1):
            step.needs.append(self.gelu)
        self.outputs.act(self.block.gelu.output, region, part)

    def _fc2(self, tiles: Tiles, region: Region, part: Part, after: NormLowering) -> None:
        self.emitter.begin_layer(f"{self.block.name}.fc2")
        self.emitter.sweep(tiles, region, part, self.emitter.residual_target())
        self.outputs.residual(self.block.res2.output, part)
        after.run(part)
