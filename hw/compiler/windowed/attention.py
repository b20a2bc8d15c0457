"""Attention inside windows: a band of windows head by head."""

from __future__ import annotations

import numpy as np

from golden.graph import ir
from hw.compiler.frontend.network import Block
from hw.compiler.image.layout import Tiles, parameters
from hw.compiler.lower.head_softmax import head_softmax
from hw.compiler.lower.weights import requantized_tiles
from hw.compiler.step import Demand
from hw.compiler.windowed.band import Band
from hw.compiler.windowed.emitter import WindowEmitter
from hw.compiler.windowed.network import windows_of
from hw.formats.constants import MASK
from hw.isa.payload import Attend, Matmul, Mem
from hw.lib.numbers import Array, ceil_div, round_up
from hw.program.destination import Act, Destination, Key, Logit, Value


class WindowAttention:
    """Lowers the attention of one block over LayerNorm outputs of a band in window order.

    ``spans`` are the first window and the rows of what one MATMUL of a linear layer covers: the
    whole band where windows fill row groups, tiles of keys and words of values, else a window.
    """

    def __init__(self, block: Block, band: Band, emitter: WindowEmitter) -> None:
        self.block, self.band, self.emitter = block, band, emitter
        self.windows = windows_of(block)
        self.plan, self.config = emitter.plan, emitter.config
        c = self.config
        even = all(band.size % unit == 0 for unit in (c.rows, c.cols, c.keys_per_cycle))
        self.spans = [(0, band.tokens)] if even else [(w, band.size) for w in range(band.windows)]
        self.passes = ceil_div(band.padded, c.head_lanes)
        self._turn = self._source = 0
        self._constants: dict[bytes, int] = {}
        self._tiles: dict[tuple[str, int, int], Tiles] = {}
        self._scores: dict[int, tuple[int, int]] = {}
        self._masked = self.windows.masked() if self.windows.masks else None

    def lower(self, first: int, source: int, zeros: list[Demand], following: Tiles) -> None:
        """Q, K, V, scores, softmax and A x V of the band from window ``first``.

        LN1's outputs begin at word ``source``; ``zeros`` are loads that they wait for.
        ``following`` is the layer behind.
        """
        self._source = source
        turns = [(head, number) for head in range(self.band.heads) for number in range(self.passes)]
        for head, number in turns:
            self._project(first, head, number, zeros)
            demand = self._parameters(head)
            last = (head, number) == turns[-1]
            self.emitter.ahead(following if last else self._layers(*self._next(head, number))[0])
            self._attend_head(first, head, number, demand)
        band, outputs = self.band, self.emitter.outputs
        outputs.windowed(self.block.attn.output, band.attn_at, band.q, band.heads, band, first)

    def _next(self, head: int, number: int) -> tuple[int, int]:
        """The head and pass behind a pass of a head."""
        return (head, number + 1) if number + 1 < self.passes else (head + 1, 0)

    def _channels(self, number: int) -> tuple[int, int]:
        """The channels of V in one pass."""
        lanes = self.config.head_lanes
        return number * lanes, min(self.band.dim, (number + 1) * lanes)

    def _layers(self, head: int, number: int) -> list[Tiles]:
        """The weights of a pass of a head, in the order of their use."""
        block, dim = self.block, self.band.dim
        whole = [self._weights(n, head, 0, dim) for n in (block.k, block.q)] if number == 0 else []
        return [*whole, self._weights(block.v, head, *self._channels(number))]

    def _weights(self, node: ir.Linear, head: int, low: int, high: int) -> Tiles:
        """Channels ``low`` to ``high`` of a head of a layer."""
        key = (node.name, head, low)
        if key not in self._tiles:
            first = head * self.band.dim
            rows = slice(first + low, first + high)
            self._tiles[key] = requantized_tiles(self.emitter, node, rows)
        return self._tiles[key]

    def _project(self, first: int, head: int, number: int, zeros: list[Demand]) -> None:
        """K and Q of one head in its first pass, and the channels of V of every pass."""
        band, block, outputs = self.band, self.block, self.emitter.outputs
        *whole, values = self._layers(head, number)
        if whole:
            keys = [Key(base=self._keys(w), stride=band.key_stride) for w, _ in self.spans]
            self._sweep(whole[0], keys, zeros)
            outputs.keys(block.k.output, self._keys(0), band, head, first)
            queries = [
                Act(base=band.q_at + w * band.groups * band.q, stride=band.q) for w, _ in self.spans
            ]
            self._sweep(whole[1], queries, zeros)
            outputs.queries(block.q.output, band, head, first)
        self._sweep(values, [Value(base=w * band.value) for w, _ in self.spans], zeros)
        outputs.values(block.v.output, 0, band, head * self.passes + number, self.passes, first)

    def _sweep(
        self, tiles: Tiles, targets: list[Key] | list[Act] | list[Value], zeros: list[Demand]
    ) -> None:
        """Some channels of a layer over LN1's outputs, each span to its target."""
        band = self.band
        pieces: list[tuple[tuple[int, int], int, Destination]] = [
            ((self._source + w * band.groups * band.x, band.x), rows, target)
            for (w, rows), target in zip(self.spans, targets, strict=True)
        ]
        self.emitter.sweep(tiles, pieces, needs=zeros)

    def _keys(self, w: int) -> int:
        return self.plan.ring + w * self.band.key_tiles * self.band.key_stride

    def _attend_head(self, first: int, head: int, number: int, demand: Demand) -> None:
        """Scores window by window and group by group, each followed by its softmax and A x V."""
        band, block, outputs = self.band, self.block, self.emitter.outputs
        keep = False
        for w in range(band.windows):
            for group in range(band.groups):
                slot = self._turn % self.plan.slots
                self._turn += 1
                place = (first + w, w, head, group)
                self._score(place, slot, demand, keep)
                keep = True
                at = slot * self.plan.key_tiles
                if number == 0:
                    outputs.scores(block.scores.output, at, band, head, first + w, group)
                self._attend(place, number, slot)
                if number == 0:
                    outputs.scores(block.softmax.output, at, band, head, first + w, group)

    def _parameters(self, head: int) -> Demand:
        """Load the shift of a head's logits, and its bias' left shift."""
        emitter, config, node = self.emitter, self.config, self.block.scores
        if head not in self._scores:
            lo = 0 if node.bias_shift is None else int(node.bias_shift[head])
            shift = int(node.shift[head])
            params = parameters(config, config.cols, shift=shift, lo=lo, name=node.name)
            size = round_up(params.size, config.axi_bytes)
            offset = emitter.dram.add(params.tobytes().ljust(size, b"\0"))
            self._scores[head] = (offset, size // config.stream_bytes)
        offset, words = self._scores[head]
        return emitter.demand(Mem.STREAM, words, offset)

    def _score(
        self, place: tuple[int, int, int, int], slot: int, demand: Demand, keep: bool
    ) -> None:
        emitter, band, config = self.emitter, self.band, self.config
        window, w, head, group = place
        chunks = ceil_div(band.dim, config.lanes)
        rows = min(config.rows, band.size - group * config.rows)
        constant = self._constant(window, head, group, rows)
        body = Matmul(
            a_addr=band.q_at + (w * band.groups + group) * band.q,
            a_stride=band.q,
            w_addr=self._keys(w),
            w_stride=band.key_stride,
            chunks=chunks,
            tiles=band.key_tiles,
            groups=1,
            rows_last=rows,
            cols_last=band.size - (band.key_tiles - 1) * config.cols,
            k_last=band.dim - (chunks - 1) * config.lanes,
            shared_params=True,
            keep_params=keep,
            const_old=constant is not None,
            masked=self.windows.masks,
            **Logit(base=slot * self.plan.key_tiles, slot=slot).fields(0, 0, config),
        )
        step = emitter.add(body, needs=[demand], tile=demand)
        demand.users += 1
        if constant is not None:
            count = rows * band.key_tiles
            step.needs.append(emitter.demand(Mem.CONST, count, constant, consumer=step))

    def _constant(self, window: int, head: int, group: int, rows: int) -> int | None:
        """Offset of bias and mask of one row group, tile by tile; None where there is neither."""
        band, config, node = self.band, self.config, self.block.scores
        if node.bias is None and self._masked is None:
            return None
        queries = slice(group * config.rows, group * config.rows + rows)
        table = np.zeros((rows, band.key_tiles * config.cols), "<i2")
        if node.bias is not None:
            table[:, : band.size] = node.bias[head, queries]
        if self._masked is not None:
            hidden: Array = self._masked[window, queries]
            table[:, : band.size][hidden] = MASK
        data = table.reshape(rows, band.key_tiles, config.cols).transpose(1, 0, 2).tobytes()
        if data not in self._constants:
            self._constants[data] = self.emitter.dram.add(data)
        return self._constants[data]

    def _attend(self, place: tuple[int, int, int, int], number: int, slot: int) -> None:
        band, config = self.band, self.config
        _, w, head, group = place
        first = number * config.keys_per_cycle
        at = band.attn_at + ((w * band.groups + group) * band.heads + head) * band.q + first
        self.emitter.add(
            Attend(
                l_addr=slot * self.plan.key_tiles,
                slot=slot,
                keys=band.size,
                v_addr=w * band.value,
                d_addr=at,
                d_words=min(band.q - first, config.keys_per_cycle),
                write_codes=self.emitter.outputs.enabled and number == 0,
                **head_softmax(self.block, head),
            )
        )
