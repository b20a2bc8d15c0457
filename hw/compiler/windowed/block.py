"""One block of a windowed stage, band by band of windows."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class _Visit:
    """A band in RESIDUAL: its first window, place and words, its tokens' runs, its turn.

    ``zeros`` are the loads that LN1's outputs of its padded tokens wait for.
    """

    first: int
    at: int
    turn: int
    runs: list[Lines]
    zeros: list[Demand]


class BlockLowering:
    """Lowers one block over the stream at ``home``, which it changes in place.

    A band comes to RESIDUAL in window order and stays there until its MLP is through: so LN1's
    outputs, attention and the residual additions need no order of their own, and padded tokens are
    rows that nobody takes home. Where bands overlap, LayerNorms run under the array's work:

    ```
    attention 1, proj 1 | fc1 0, fc2 0 | attention 2, proj 2 | fc1 1, fc2 1 | ..
      LN1 of 2              LN2 of 1       LN1 of 3              LN2 of 2
    ```
    """

    def __init__(self, block: Block, band: Band, home: TokenHome, emitter: WindowEmitter) -> None:
        self.block, self.band, self.home, self.emitter = block, band, home, emitter
        self.windows = windows_of(block)
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
        self.emitter.residuals.restart()
        starts = list(range(0, self.windows.count, self.band.windows))
        overlaps = self.band.overlaps
        visits = [self._enter(starts[0], 0, before)]
        last: Step | None = None
        for turn in range(len(starts)):
            if overlaps and turn + 1 < len(starts):
                visits.append(self._enter(starts[turn + 1], turn + 1, before))
            self._attend(visits[turn])
            if overlaps and turn:
                last = self._finish(visits[turn - 1], table)
            elif not overlaps:
                last = self._finish(visits[turn], table)
                if turn + 1 < len(starts):
                    visits.append(self._enter(starts[turn + 1], turn + 1, before))
        return self._finish(visits[-1], table) if overlaps else last

    def _table(self) -> Demand:
        """The GELU table: one copy, so the last fc1 must be through."""
        emitter = self.emitter
        emitter.begin_layer(f"{self.block.name}.attention")
        table = self.block.gelu.table.astype("int8").tobytes()
        user = next(
            (s for s in reversed(emitter.main) if isinstance(s.body, Matmul) and s.body.gelu), None
        )
        return emitter.demand(Mem.GELU, 256, emitter.dram.add(table), after=user)

    def _enter(self, first: int, turn: int, before: Step | None) -> _Visit:
        """Bring a band and run its LN1."""
        emitter, band = self.emitter, self.band
        emitter.begin_layer(f"{self.block.name}.attention")
        order = windows_runs(self.windows, first, band.windows)
        runs, padding = list(lines(order)), [run for run in order if run.source is None]
        words = band.tokens * band.residual
        at = emitter.residuals.take(words)
        user = emitter.residuals.user(at, words)
        after = emitter.after(before, user)
        brought = emitter.mover.bring(self.home, at, band.residual, runs, after)
        for run in padding:  # whose sums mean nothing, but must be sums of something
            word = at + run.target * band.residual
            brought.append(emitter.mover.clear(word, band.residual, run.count, band.residual))
        zeros = self._first_norm(at, first, turn, brought, padding)
        return _Visit(first=first, at=at, turn=turn, runs=runs, zeros=zeros)

    def _first_norm(
        self, at: int, first: int, turn: int, brought: list[Demand], padding: list[Run]
    ) -> list[Demand]:
        """LN1 in window order, each window from a row group on; loads of zeros behind it."""
        emitter, band, norm = self.emitter, self.band, self.block.ln1
        stride, base = band.residual, self._first(turn)
        for w, rows in self.attention.spans:
            token = w * band.groups * self.emitter.config.rows
            here = at + w * band.size * stride
            emitter.measure(norm, norm.alpha, here, stride, token, rows, brought)
            to = (base + w * band.groups * band.x, band.x)
            emitter.normalise(norm, self.channels, here, stride, token, rows, to)
        zeros = []
        for run in padding:
            w, inside = divmod(run.target, band.size)
            group, bank = divmod(inside, emitter.config.rows)
            word = base + (w * band.groups + group) * band.x
            zeros.append(emitter.mover.clear_act(word, band.x, bank, run.count, band.x))
        emitter.outputs.windowed(norm.output, base, band.x, 1, band, first)
        if emitter.outputs.enabled:
            emitter.main[-1].needs += zeros
        return zeros

    def _first(self, turn: int) -> int:
        return self.band.firsts[turn % len(self.band.firsts)]

    def _second(self, turn: int) -> int:
        return self.band.seconds[turn % len(self.band.seconds)]

    def _attend(self, visit: _Visit) -> None:
        """Attention, projection and LN2 of a band."""
        emitter, band, block = self.emitter, self.band, self.block
        emitter.begin_layer(f"{block.name}.attention")
        self.attention.lower(visit.first, self._first(visit.turn), visit.zeros, self.proj)
        emitter.begin_layer(f"{block.name}.proj")
        stride = band.heads * band.q
        for segment in emitter.segments(self.proj):
            demand = emitter.loaded(self.proj, segment)
            for w, rows in self.attention.spans:
                source = (band.attn_at + w * band.groups * stride, stride)
                target = Residual(base=visit.at, stride=band.residual)
                fields = target.fields(w * band.size, segment[0], emitter.config)
                emitter.product(self.proj, demand, segment, source, rows, fields)
        self._keep(block.res1.output, visit)
        at = self._second(visit.turn)
        emitter.normalise(
            block.ln2, self.channels, visit.at, band.residual, 0, band.tokens, (at, band.x)
        )
        emitter.outputs.banded(block.ln2.output, at, band.x, band, self.windows, visit.first)

    def _finish(self, visit: _Visit, table: Demand) -> Step | None:
        """The MLP of a band, which goes home; the last step of it."""
        emitter, band, block = self.emitter, self.band, self.block
        emitter.begin_layer(f"{block.name}.fc1")
        hidden = Act(base=band.q_at, stride=band.hidden)
        piece = ((self._second(visit.turn), band.x), band.tokens, hidden)
        emitter.sweep(self.fc1, [piece], needs=[table], gelu=True)
        emitter.outputs.banded(
            block.gelu.output, band.q_at, band.hidden, band, self.windows, visit.first
        )
        emitter.begin_layer(f"{block.name}.fc2")
        target = Residual(base=visit.at, stride=band.residual)
        emitter.sweep(self.fc2, [((band.q_at, band.hidden), band.tokens, target)])
        self._keep(block.res2.output, visit)
        return emitter.mover.leave(self.home, visit.at, band.residual, visit.runs)

    def _keep(self, name: str, visit: _Visit) -> None:
        """Checkpoint of the stream."""
        self.emitter.keep_stream(name, self.home, visit.at, self.band.residual, visit.runs)
