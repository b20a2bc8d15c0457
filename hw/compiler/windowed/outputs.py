"""Stores of the tensors of a windowed network, band by band, and where their words land."""

from __future__ import annotations

from typing import TYPE_CHECKING

from golden.graph import ir
from golden.ops.windows import Windows
from hw.compiler.image.stored import Stored
from hw.compiler.windowed.band import Band
from hw.compiler.windowed.tokens import TokenHome
from hw.formats.memories import Space
from hw.lib.numbers import ceil_div, round_up
from hw.program.program import Layout
from hw.program.regions import Region

if TYPE_CHECKING:
    from hw.compiler.lower.products import Products


class WindowOutputs(Stored):
    """Checkpoints of windowed tensors; none unless ``enabled``."""

    def __init__(self, emitter: Products, graph: ir.Graph, enabled: bool) -> None:
        super().__init__(emitter, graph, enabled)
        self.config = emitter.config

    def tokens(
        self,
        name: str,
        at: int,
        words: int,
        parts: int = 1,
        number: int = 0,
        most: int | None = None,
    ) -> None:
        """Tokens of ACT in rows of the grid: piece ``number`` of pieces of ``most`` (None: all).

        ``words`` words are stored from ``at``, where the piece's first row group lies. A token is
        ``parts`` equally padded parts.
        """
        if not (self.enabled or name == self.graph.output):
            return
        rows, size = self.config.rows, self.config.act_bytes
        count, channels = self.graph.tensors[name].shape
        most = most or count
        pieces, groups = ceil_div(count, most), ceil_div(most, rows)
        own = ceil_div(channels // parts, size)
        layout = self.layout(
            name, Space.ACT, (pieces, groups, parts, own, rows, size), (0, 1, 4, 2, 3, 5),
            (pieces, groups * rows, parts, own * size), (pieces, most, parts, channels // parts),
            range(count),
        )  # fmt: skip
        self.store(layout, Space.ACT, at, words, number * groups * parts * own)

    def banded(
        self, name: str, at: int, stride: int, band: Band, windows: Windows, w: int,
        piece: tuple[int, int],
    ) -> None:  # fmt: skip
        """A dense tensor of a band's tokens that the graph has in rows of the grid.

        ``piece`` (first, count) are the row groups that are stored, from word ``at`` on.
        """
        if not self.enabled:
            return
        rows, size = self.config.rows, self.config.act_bytes
        channels = self.graph.tensors[name].shape[1]
        bands, groups = windows.count // band.windows, ceil_div(band.tokens, rows)
        layout = self.layout(
            name, Space.ACT, (bands, groups, stride, rows, size), (0, 1, 3, 2, 4),
            (bands, groups * rows, stride * size), (bands, band.tokens, channels),
            windows.places().tolist(),
        )  # fmt: skip
        first, count = piece
        where = (w // band.windows * groups + first) * stride
        self.store(layout, Space.ACT, at, count * stride, where)

    def windowed(self, name: str, at: int, words: int, heads: int, band: Band, w: int) -> None:
        """A tensor of ACT in window order, ``heads`` heads of ``words`` words in a row group."""
        if not self.enabled:
            return
        rows, size = self.config.rows, self.config.act_bytes
        count, channels = self.graph.tensors[name].shape
        layout = self.layout(
            name, Space.ACT, (count // band.size, band.groups, heads, words, rows, size),
            (0, 1, 4, 2, 3, 5), (count // band.size, band.groups * rows, heads, words * size),
            (count // band.size, band.size, heads, channels // heads),
        )  # fmt: skip
        each = band.groups * heads * words
        self.store(layout, Space.ACT, at, band.windows * each, w * each)

    def _head(
        self, name: str, space: Space, at: int, words: tuple[int, int], word: tuple[int, int],
        band: Band, place: tuple[int, int], parts: int = 1, pitch: int = 0,
    ) -> None:  # fmt: skip
        """Head ``place[0]`` of windows from ``place[1]``: groups of ``words``, ``word`` each."""
        if not self.enabled:
            return
        count, _ = self.graph.tensors[name].shape
        total = count // band.size
        layout = self.layout(
            name, space, (band.heads * parts, total, *words, *word), (1, 2, 4, 0, 3, 5),
            (total, words[0] * word[0], band.heads, parts * words[1] * word[1]),
            (total, band.size, band.heads, band.dim),
        )  # fmt: skip
        each = words[0] * words[1]
        first = (place[0] * total + place[1]) * each
        self.store(layout, space, at, band.windows * each, first)

    def queries(self, name: str, band: Band, head: int, w: int) -> None:
        """The queries of one head."""
        word = (self.config.rows, self.config.act_bytes)
        self._head(name, Space.ACT, band.q_at, (band.groups, band.q), word, band, (head, w))

    def keys(self, name: str, at: int, band: Band, head: int, w: int) -> None:
        """The keys of one head from word ``at`` of STREAM."""
        words = (band.key_tiles, band.key_stride)
        word = (self.config.cols, self.config.lanes)
        self._head(name, Space.STREAM, at, words, word, band, (head, w))

    def values(self, name: str, at: int, band: Band, number: int, parts: int, w: int) -> None:
        """The values of pass ``number`` of all heads, ``parts`` each."""
        together = self.config.keys_per_cycle
        words, word = (band.value // together, together), (together, self.config.act_bytes)
        self._head(name, Space.VALUE, at, words, word, band, (number, w), parts)

    def scores(self, name: str, at: int, band: Band, head: int, w: int, group: int) -> None:
        """Logits or codes of one head and row group of window ``w``."""
        if not self.enabled:
            return
        windows, heads, size, _ = self.graph.tensors[name].shape
        rows, cols = self.config.rows, self.config.cols
        layout = self.layout(
            name, Space.LOGIT, (heads, windows, band.groups, band.key_tiles, rows, cols),
            (1, 0, 2, 4, 3, 5),
            (windows, heads, band.groups * rows, band.key_tiles * cols),
            (windows, heads, size, size),
        )  # fmt: skip
        first = ((head * windows + w) * band.groups + group) * band.key_tiles
        self.store(layout, Space.LOGIT, at, band.key_tiles, first)

    def stream(self, name: str, home: TokenHome) -> TokenHome | None:
        """Where a checkpoint of a residual stream goes, token by token; None without any."""
        if not self.enabled:
            return None
        tensor = self.graph.tensors[name]
        count, channels = tensor.shape
        if name not in self.layouts:
            self.layouts[name] = Layout(
                offset=self.size, words=count, word_bytes=home.size, pitch=home.pitch,
                dtype=tensor.dtype, dims=(count, home.size), order=(0, 1),
                merged=(count, home.size), crop=(count, channels), shape=tensor.shape,
            )  # fmt: skip
            self.size += round_up(count * home.pitch, 64)
        return TokenHome(
            offset=self.layouts[name].offset, size=home.size, pitch=home.pitch,
            region=Region.OUTPUTS,
        )  # fmt: skip
