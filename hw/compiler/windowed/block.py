"""One block of a windowed stage, band by band of windows."""

from __future__ import annotations

from golden.ops.windows import Run
from hw.compiler.frontend.network import Block
from hw.compiler.image.layout import pad_heads
from hw.compiler.lower.weights import added_tiles, requantized_tiles
from hw.compiler.step import Demand, Step
from hw.compiler.windowed.attention import WindowAttention
from hw.compiler.windowed.emitter import WindowEmitter
from hw.compiler.windowed.network import windows_of
from hw.compiler.windowed.plan import Band
from hw.compiler.windowed.tokens import Lines, TokenHome, lines, windows_runs
from hw.isa.payload import Matmul, Mem
from hw.lib.numbers import Array
from hw.program.destination import Act, Residual


class BlockLowering:
    """Lowers one block over the stream at ``home``, which it changes in place.

    A band comes to RESIDUAL in window order and stays there until its MLP is through: so LN1's
    outputs, attention and the residual additions need no order of their own, and padded tokens are
    rows that nobody takes home.
    """

    def __init__(self, block: Block, band: Band, home: TokenHome, emitter: WindowEmitter) -> None:
        self.block, self.band, self.home, self.emitter = block, band, home, emitter
        self.windows = windows_of(block)
        self.padding: list[Run] = []
        self.channels = block.proj.weight.shape[0]
        self.attention = WindowAttention(block, band, emitter)
        linear = block.proj
        weight = pad_heads(linear.weight, band.heads, band.dim, band.padded)
        self.proj = added_tiles(emitter, linear, weight, block.res1, block.ln2.alpha)
        self.fc1 = requantized_tiles(emitter, block.fc1)
        none: Array = block.ln2.alpha * 0  # what follows sums up what it finds
        self.fc2 = added_tiles(emitter, block.fc2, block.fc2.weight, block.res2, none)

    def lower(self, before: Step | None) -> Step | None:
        """All bands; ``before`` is the last step that wrote the stream, and so is the result."""
        table = self._table()
        last = None
        for first in range(0, self.windows.count, self.band.windows):
            last = self._lower_band(first, before, table)
        return last

    def _table(self) -> Demand:
        """The GELU table: one copy, so the last fc1 must be through."""
        emitter = self.emitter
        emitter.begin_layer(f"{self.block.name}.attention")
        table = self.block.gelu.table.astype("int8").tobytes()
        user = next(
            (s for s in reversed(emitter.main) if isinstance(s.body, Matmul) and s.body.gelu), None
        )
        return emitter.demand(Mem.GELU, 256, emitter.dram.add(table), after=user)

    def _lower_band(self, first: int, before: Step | None, table: Demand) -> Step | None:
        emitter, band, block = self.emitter, self.band, self.block
        emitter.begin_layer(f"{block.name}.attention")
        order = windows_runs(self.windows, first, band.windows)
        runs, self.padding = list(lines(order)), [run for run in order if run.source is None]
        words = band.tokens * band.residual
        at = emitter.residuals.take(words)
        user = emitter.residuals.user(at, words)
        brought = emitter.mover.bring(
            self.home, at, band.residual, runs, emitter.after(before, user)
        )
        for run in self.padding:  # whose sums mean nothing, but must be sums of something
            word = at + run.target * band.residual
            brought.append(emitter.mover.clear(word, band.residual, run.count, band.residual))
        zeros = self._first_norm(at, first, brought)
        self.attention.lower(first, zeros)
        emitter.begin_layer(f"{block.name}.proj")
        stride = band.heads * band.q
        pieces = [
            (
                (band.attn_at + w * band.groups * stride, stride),
                rows,
                Residual(base=at + w * band.size * band.residual, stride=band.residual),
            )
            for w, rows in self.attention.spans
        ]
        self._add(pieces)
        self._keep(block.res1.output, at, runs)
        self._mlp(at, first, table)
        self._keep(block.res2.output, at, runs)
        return emitter.mover.leave(self.home, at, band.residual, runs)

    def _first_norm(self, at: int, first: int, brought: list[Demand]) -> list[Demand]:
        """LN1 in window order, each window from a row group on; loads of zeros behind it."""
        emitter, band, norm = self.emitter, self.band, self.block.ln1
        stride = band.residual
        for w, rows in self.attention.spans:
            token = w * band.groups * self.emitter.config.rows
            here = at + w * band.size * stride
            emitter.measure(norm, norm.alpha, here, stride, token, rows, brought)
            to = (w * band.groups * band.x, band.x)
            emitter.normalise(norm, self.channels, here, stride, token, rows, to)
        zeros = []
        for run in self.padding:
            w, inside = divmod(run.target, band.size)
            group, bank = divmod(inside, emitter.config.rows)
            word = (w * band.groups + group) * band.x
            zeros.append(emitter.mover.clear_act(word, band.x, bank, run.count, band.x))
        emitter.outputs.windowed(norm.output, 0, band.x, 1, band, first)
        if emitter.outputs.enabled:
            emitter.main[-1].needs += zeros
        return zeros

    def _add(self, pieces: list[tuple[tuple[int, int], int, Residual]]) -> None:
        """The projection: every window's rows under dense token numbers."""
        emitter, band = self.emitter, self.band
        for segment in emitter.segments(self.proj):
            demand = emitter.demand_tiles(self.proj, *segment)
            for (w, _), (source, rows, target) in zip(self.attention.spans, pieces, strict=True):
                fields = target.fields(0, segment[0], emitter.config)
                fields["token"] = w * band.size
                emitter.product(self.proj, demand, segment, source, rows, fields)

    def _mlp(self, at: int, first: int, table: Demand) -> None:
        emitter, band, block = self.emitter, self.band, self.block
        outputs = emitter.outputs
        emitter.begin_layer(f"{block.name}.fc1")
        emitter.normalise(block.ln2, self.channels, at, band.residual, 0, band.tokens, (0, band.x))
        outputs.banded(block.ln2.output, 0, band.x, band, self.windows, first)
        hidden = Act(base=band.q_at, stride=band.hidden)
        piece = ((0, band.x), band.tokens, hidden)
        emitter.sweep(self.fc1, [piece], needs=[table], gelu=True)
        outputs.banded(block.gelu.output, band.q_at, band.hidden, band, self.windows, first)
        emitter.begin_layer(f"{block.name}.fc2")
        target = Residual(base=at, stride=band.residual)
        emitter.sweep(self.fc2, [((band.q_at, band.hidden), band.tokens, target)])

    def _keep(self, name: str, at: int, runs: list[Lines]) -> None:
        """Checkpoint of the stream."""
        copy = self.emitter.outputs.stream(name, self.home)
        if copy is not None:
            self.emitter.mover.leave(copy, at, self.band.residual, runs)
