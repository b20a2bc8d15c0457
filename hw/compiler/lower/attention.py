"""Attention of one block, head by head, and its projection."""

from __future__ import annotations

from golden.graph import ir
from hw.compiler.frontend.network import Block
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import Tiles, pad_heads, parameters
from hw.compiler.lower.emitter import Emitter
from hw.compiler.lower.head_softmax import head_softmax
from hw.compiler.lower.norm import NormLowering
from hw.compiler.lower.norm_outputs import NormOutputs
from hw.compiler.lower.results import HeadResults
from hw.compiler.lower.weights import added_tiles, requantized_tiles
from hw.compiler.plan.allocate import Part, Region, split
from hw.compiler.step import Demand
from hw.isa.payload import Attend, Matmul, Mem
from hw.lib.numbers import ceil_div, round_up
from hw.program.destination import Destination, Key, Logit, Value

#: Row groups of the projection's first sweep that wait for their attention together.
FIRST_SWEEP_GROUPS = 4


class AttentionLowering:
    """Lowers the attention of block number ``index`` over the LayerNorm outputs ``x``.

    The values of a head wider than ``head_lanes`` take several passes, each over scores of its own.
    """

    def __init__(
        self, block: Block, index: int, emitter: Emitter, outputs: Outputs, x: NormOutputs
    ) -> None:
        self.block, self.index, self.x = block, index, x
        self.emitter, self.outputs, self.plan = emitter, outputs, emitter.plan
        self.heads = block.scores.heads
        self.dim = block.q.weight.shape[0] // self.heads
        self.padded = round_up(self.dim, emitter.config.act_bytes)
        self.whole = Part(0, self.plan.groups)
        words = self.padded // emitter.config.act_bytes
        self.results = HeadResults(emitter, outputs, self.heads, words)
        self.passes = ceil_div(self.padded, emitter.config.head_lanes)

    def lower(self) -> None:
        """Q, K, V, scores, softmax and A x V of every head."""
        self.emitter.begin_layer(f"{self.block.name}.attention")
        self.emitter.beyond = False
        for head in range(self.heads):
            self._project_head(head)
            self._attend_head(head, 0)
            for number in range(1, self.passes):
                self._project_values(head, number)
                self._attend_head(head, number)
        if self.plan.streamed is not None:
            self.emitter.beyond = next(
                s for s in reversed(self.emitter.main) if isinstance(s.body, Matmul)
            )

    def project(self, ln2: NormLowering) -> None:
        """The projection back to the residual stream and the LayerNorm behind it."""
        emitter = self.emitter
        tiles = self.begin_projection(ln2)
        for part in self.plan.adds:
            emitter.begin_layer(f"{self.block.name}.proj")
            emitter.stream.enter(part, self.plan.adds)
            self.add(tiles, part)
            ln2.run(part)
            emitter.stream.leave(part)

    def begin_projection(self, ln2: NormLowering) -> Tiles:
        """The weights of the projection, whose sums LayerNorm ``ln2`` reads; results are home."""
        emitter, proj = self.emitter, self.block.proj
        emitter.begin_layer(f"{self.block.name}.proj")
        weight = pad_heads(proj.weight, self.heads, self.dim, self.padded)
        self.results.complete(self.block.attn.output)
        tiles = added_tiles(emitter, proj, weight, self.block.res1, ln2.node.alpha)
        emitter.keep(tiles)
        return tiles

    def add(self, tiles: Tiles, part: Part) -> None:
        """The projection of one token block that is at hand in the residual stream."""
        self.emitter.begin_layer(f"{self.block.name}.proj")
        region, brought = self.results.bring(part)
        self._first_sweep(tiles, region, part, brought)
        self.outputs.residual(self.block.res1.output, part)

    def _first_sweep(
        self, tiles: Tiles, region: Region, part: Part, brought: Demand | None
    ) -> None:
        """The projection of one token block; its first tiles follow the attention closely."""
        before = len(self.emitter.main)
        emitter, target = self.emitter, self.emitter.stream.target()
        for segment, demand in emitter.loaded(tiles):
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
        if brought is not None:
            emitter.main[before].needs.append(brought)

    def _project_head(self, head: int) -> None:
        """K, Q and V of one head; in token blocks for the head that follows LayerNorm."""
        emitter, plan, config = self.emitter, self.plan, self.emitter.config
        rows = slice(head * self.dim, (head + 1) * self.dim)
        stride = self.padded // config.lanes
        targets: tuple[tuple[ir.Linear, Destination], ...] = (
            (self.block.k, Key(base=plan.keys, stride=stride)),
            (self.block.q, emitter.act_target(self._queries())),
        )
        sweeps = [(requantized_tiles(emitter, node, rows), target) for node, target in targets]
        sweeps.append(self._value_sweep(head, 0))
        self._sweep(sweeps, first=head == 0)
        self.outputs.keys(self.block.k.output, plan.keys, stride, head, self.heads)
        words = self.padded // config.act_bytes
        self.outputs.head_act(self.block.q.output, plan.q, words, head, self.heads)
        self._keep_values(head, 0)

    def _project_values(self, head: int, number: int) -> None:
        """The channels of V that pass ``number`` of a head needs."""
        self._sweep([self._value_sweep(head, number)], first=False)
        self._keep_values(head, number)

    def _value_sweep(self, head: int, number: int) -> tuple[Tiles, Destination]:
        lanes = self.emitter.config.head_lanes
        first, end = number * lanes, min(self.dim, (number + 1) * lanes)
        rows = slice(head * self.dim + first, head * self.dim + end)
        tiles = requantized_tiles(self.emitter, self.block.v, rows)
        return tiles, Value(base=self._values(head, number))

    def _keep_values(self, head: int, number: int) -> None:
        place = head * self.passes + number
        at = self._values(head, number)
        self.outputs.values(self.block.v.output, at, place, self.heads, self.passes)

    def _sweep(self, sweeps: list[tuple[Tiles, Destination]], *, first: bool) -> None:
        """Layers over all tokens, together block by block where x comes in or is just made."""
        plan, emitter = self.plan, self.emitter
        emitter.keep(*(tiles for tiles, _ in sweeps))
        for part in plan.parts if first or plan.streamed is not None else (self.whole,):
            region, brought = self.x.bring(part)
            before = len(emitter.main)
            for tiles, target in sweeps:
                emitter.sweep(tiles, region, part, target)
            if brought is not None:
                emitter.main[before].needs.append(brought)

    def _queries(self) -> Region:
        return Region(self.plan.q.base, self.padded // self.emitter.config.act_bytes)

    def _values(self, head: int, number: int) -> int:
        sets = self.plan.values
        return sets[((self.index * self.heads + head) * self.passes + number) % len(sets)]

    def _attend_head(self, head: int, number: int) -> None:
        """Scores row group by row group, each followed by its softmax and A x V of one pass."""
        emitter, plan, config = self.emitter, self.plan, self.emitter.config
        shift = int(self.block.scores.shift[head])
        params = parameters(config, config.cols, shift=shift, name=self.block.scores.name)
        size = round_up(params.size, config.axi_bytes)
        data = params.tobytes().ljust(size, b"\0")
        words = size // config.stream_bytes
        demand = emitter.demand(Mem.STREAM, words, emitter.dram.add(data))
        for group in range(plan.groups):
            turn = ((self.index * self.heads + head) * self.passes + number) * plan.groups + group
            slot = turn % plan.slots
            self._score(head, group, slot, demand)
            if number == 0:
                self.outputs.scores(self.block.scores.output, slot * plan.key_tiles, head, group)
            self._attend(head, number, group, slot)
            if number == 0:
                self.outputs.scores(self.block.softmax.output, slot * plan.key_tiles, head, group)

    def _score(self, head: int, group: int, slot: int, demand: Demand) -> None:
        plan, config = self.plan, self.emitter.config
        queries = self._queries()
        stride = self.padded // config.lanes
        chunks = ceil_div(self.dim, config.lanes)
        part = Part(group, 1)
        target = Logit(base=slot * plan.key_tiles, slot=slot)
        body = Matmul(
            a_addr=queries.base + group * queries.stride,
            a_stride=queries.stride,
            w_addr=plan.keys,
            w_stride=stride,
            chunks=chunks,
            tiles=plan.key_tiles,
            groups=1,
            rows_last=plan.rows_last(part),
            cols_last=plan.tokens - (plan.key_tiles - 1) * config.cols,
            k_last=self.dim - (chunks - 1) * config.lanes,
            shared_params=True,
            keep_params=group > 0,
            **target.fields(group * config.rows, 0, config),
        )
        self.emitter.add(body, needs=[demand], tile=demand)
        demand.users += 1

    def _attend(self, head: int, number: int, group: int, slot: int) -> None:
        plan, config = self.plan, self.emitter.config
        first = number * config.keys_per_cycle
        words = min(self.padded // config.act_bytes - first, config.keys_per_cycle)
        self.emitter.add(
            Attend(
                l_addr=slot * plan.key_tiles,
                slot=slot,
                keys=plan.tokens,
                v_addr=self._values(head, number),
                d_addr=self.results.place(head, group, first),
                d_words=words,
                write_codes=self.outputs.enabled and number == 0,
                **head_softmax(self.block, head),
            )
        )
        self.results.leave(self.block.attn.output, head, group, first, words)
