"""Tensors that a program stores: offsets in the output area, and where each word of them lands."""

from __future__ import annotations

import math
from collections.abc import Sequence

from golden.graph import ir
from hw.compiler.lower.products import Products
from hw.formats.memories import Space, memories
from hw.lib.numbers import ceil_div, round_up
from hw.program.program import Checkpoint, Layout


class Stored:
    """The output area: offsets within it are final once its base is known.

    Checkpoint methods do nothing unless ``enabled``; the graph's output is always stored.
    """

    def __init__(self, emitter: Products, graph: ir.Graph, enabled: bool) -> None:
        self.emitter = emitter
        self.graph = graph
        self.enabled = enabled
        self.size = 0
        self.layouts: dict[str, Layout] = {}
        self._results: list[Layout] = []

    def begin_picture(self) -> None:
        """What follows are the tensors of the next picture."""
        self._results += [self.layouts[self.graph.output]] if self.layouts else []
        self.layouts = {}

    @property
    def results(self) -> list[Layout]:
        """The graph's output for every picture."""
        return [*self._results, self.layouts[self.graph.output]]

    def checkpoints(self, base: int) -> tuple[Checkpoint, ...]:
        """What was stored, in the graph's order, at output area ``base``."""
        made = []
        for tensor in self.graph.stored():
            if tensor.name in self.layouts:
                layout = self.layouts[tensor.name]
                made.append(Checkpoint(name=tensor.name, layout=layout.moved(layout.offset + base)))
        return tuple(made)

    def layout(
        self,
        name: str,
        space: Space,
        dims: tuple[int, ...],
        order: tuple[int, ...],
        merged: tuple[int, ...],
        crop: tuple[int, ...],
        places: Sequence[int] = (),
    ) -> Layout:
        """The layout of tensor ``name`` in words of ``space``, made at its first store."""
        if name not in self.layouts:
            tensor = self.graph.tensors[name]
            memory = memories(self.emitter.config)[space]
            word_bytes = memory.moved
            words = math.prod(dims) // math.prod(memory.shape)
            pitch = round_up(word_bytes, self.emitter.config.axi_bytes)
            self.layouts[name] = Layout(
                offset=self.size,
                words=words,
                word_bytes=word_bytes,
                pitch=pitch,
                dtype=tensor.dtype,
                dims=dims,
                order=order,
                merged=merged,
                crop=crop,
                shape=tensor.shape,
                places=tuple(int(place) for place in places),
            )
            self.size += round_up(words * pitch, 64)
        return self.layouts[name]

    def store(self, layout: Layout, space: Space, addr: int, words: int, first: int) -> None:
        """Store ``words`` words from ``addr`` as the layout's words from ``first`` on."""
        offset = layout.offset + first * layout.pitch
        self.emitter.store(space, addr, words, offset)

    def logits(self, name: str, first: int, tiles: int, addr: int) -> None:
        """``tiles`` tiles of logits from tile ``first``; always stored."""
        cols = self.emitter.config.cols
        classes = self.graph.tensors[name].shape[1]
        total = ceil_div(classes, cols)
        layout = self.layout(
            name, Space.OUT, (1, total * cols), (0, 1), (1, total * cols), (1, classes)
        )
        self.store(layout, Space.OUT, addr, tiles, first)
