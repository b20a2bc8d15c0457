"""Stores of every tensor that the graph of a one-stage network names, piece by piece."""

from __future__ import annotations

from golden.graph import ir
from hw.compiler.image.stored import Stored
from hw.compiler.lower.emitter import Emitter
from hw.compiler.plan.allocate import Part, Region
from hw.formats.memories import Space, memories
from hw.lib.numbers import ceil_div
from hw.program.program import Layout


class Outputs(Stored):
    """Stores of tensors where the emitter's plan has them.

    Checkpoint methods do nothing unless ``enabled``; the graph's output is always stored.
    """

    def __init__(self, emitter: Emitter, graph: ir.Graph, enabled: bool) -> None:
        super().__init__(emitter, graph, enabled)
        self.plan = emitter.plan
        self.stream = emitter.stream

    def _heads_in_groups(self, name: str, words: int, heads: int) -> Layout:
        """Activations by row group: ``words`` words of one head after the other."""
        rows, bytes_ = memories(self.emitter.config)[Space.ACT].shape
        tokens, channels = self.graph.tensors[name].shape
        groups = ceil_div(tokens, rows)
        return self.layout(
            name,
            Space.ACT,
            (groups, heads, words, rows, bytes_),
            (0, 3, 1, 2, 4),
            (groups * rows, heads, words * bytes_),
            (tokens, heads, channels // heads),
        )

    def act(self, name: str, region: Region, part: Part, heads: int = 1) -> None:
        """Row groups of a token-major activation tensor of ``heads`` equally padded heads."""
        if self.enabled or name == self.graph.output:
            layout = self._heads_in_groups(name, region.stride // heads, heads)
            first, count = part.first * region.stride, part.groups * region.stride
            self.store(layout, Space.ACT, region.base + first, count, first)

    def head_rows(
        self, name: str, addr: int, words: int, first: int, heads: int, stride: int
    ) -> None:
        """Some words of a token-major activation tensor of ``heads`` heads of ``stride`` words.

        ``first`` counts them over row groups, heads and words.
        """
        if self.enabled:
            layout = self._heads_in_groups(name, stride, heads)
            self.store(layout, Space.ACT, addr, words, first)

    def _head(
        self, name: str, space: Space, base: int, words: int, head: int, heads: int,
        word: tuple[int, int], parts: int = 1,
    ) -> None:  # fmt: skip
        """One of ``heads`` heads, each apart, from ``base``.

        ``words`` words hold a group of tokens; ``word`` is the tokens and the bytes of one. With
        several ``parts`` a head lies in so many, and ``head`` counts those.
        """
        if not self.enabled:
            return
        rows, bytes_ = word
        tokens, channels = self.graph.tensors[name].shape
        groups = ceil_div(tokens, rows)
        layout = self.layout(
            name,
            space,
            (heads * parts, groups, words, rows, bytes_),
            (1, 3, 0, 2, 4),
            (groups * rows, heads, parts * words * bytes_),
            (tokens, heads, channels // heads),
        )
        count = layout.words // (heads * parts)
        self.store(layout, space, base, count, head * count)

    def head_act(self, name: str, region: Region, words: int, head: int, heads: int) -> None:
        """The queries of one head: ``words`` words per row group."""
        config = self.emitter.config
        word = (config.rows, config.act_bytes)
        self._head(name, Space.ACT, region.base, words, head, heads, word)

    def keys(self, name: str, base: int, stride: int, head: int, heads: int) -> None:
        """The keys of one head in the stream buffer: ``stride`` words per Cn keys."""
        config = self.emitter.config
        self._head(name, Space.STREAM, base, stride, head, heads, (config.cols, config.lanes))

    def values(self, name: str, base: int, number: int, heads: int, passes: int) -> None:
        """The values of pass ``number`` of all heads, ``passes`` each.

        A stored word holds P tokens, 2K channels of each.
        """
        config = self.emitter.config
        together = config.keys_per_cycle
        word = (together, config.act_bytes)
        self._head(name, Space.VALUE, base, together, number, heads, word, passes)

    def scores(self, name: str, addr: int, head: int, group: int) -> None:
        """Logits or codes of one head and row group."""
        if not self.enabled:
            return
        config, plan = self.emitter.config, self.plan
        heads, tokens, _ = self.graph.tensors[name].shape
        layout = self.layout(
            name,
            Space.LOGIT,
            (heads, plan.groups, plan.key_tiles, config.rows, config.cols),
            (0, 1, 3, 2, 4),
            (heads, plan.groups * config.rows, plan.key_tiles * config.cols),
            (heads, tokens, tokens),
        )
        first = (head * plan.groups + group) * plan.key_tiles
        self.store(layout, Space.LOGIT, addr, plan.key_tiles, first)

    def residual(self, name: str, part: Part) -> None:
        """The residual stream of one token block."""
        if not self.enabled:
            return
        cols, plan = self.emitter.config.cols, self.plan
        tokens, channels = self.graph.tensors[name].shape
        stride = plan.residual_stride
        layout = self.layout(
            name,
            Space.RESIDUAL,
            (tokens, stride * cols),
            (0, 1),
            (tokens, stride * cols),
            (tokens, channels),
        )
        first, count = plan.token_range(part)
        address = self.stream.address(first)
        self.store(layout, Space.RESIDUAL, address, count * stride, first * stride)
