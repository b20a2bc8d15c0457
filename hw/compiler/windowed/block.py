"""One block of a windowed stage, band by band of windows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from golden.ops.windows import Run
from hw.compiler.frontend.network import Block
from hw.compiler.image.layout import pad_heads
from hw.compiler.lower.weights import added_tiles, requantized_tiles
from hw.compiler.step import Demand, Step
from hw.compiler.windowed.attention import WindowAttention
from hw.compiler.windowed.band import Band
from hw.compiler.windowed.emitter import WindowEmitter
from hw.compiler.windowed.network import windows_of
from hw.compiler.windowed.tokens import Lines, TokenHome, lines, windows_runs
from hw.isa.payload import Matmul, Mem
from hw.lib.numbers import Array, ceil_div
from hw.program.destination import Act, Residual


@dataclass(frozen=True, kw_only=True)
class _Visit:
    """A band in RESIDUAL: its first window, its word, its turn."""

    first: int
    at: int
    turn: int


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Windows of a band that attention takes at a time, from ``first`` on, and their turn.

    ``zeros`` are the loads that LN1's outputs of padded tokens wait for; ``last`` the band's last.
    """

    visit: _Visit
    first: int
    turn: int
    zeros: list[Demand]
    last: bool


class BlockLowering:
    """Lowers one block over the stream at ``home``, which it changes in place.

    A band comes to RESIDUAL in window order and stays there until its MLP is through: so LN1's
    outputs, attention and the residual additions need no order of their own, and padded tokens are
    rows that nobody takes home. LayerNorms run under the array's work. Where three bands have room
    they overlap, else attention takes a longer band's windows one by one:

    ```
    attention 1, proj 1 | fc1 0, fc2 0 | attention 2, proj 2 | fc1 1, fc2 1 | ..
      LN1 of 2              LN2 of 1       LN1 of 3              LN2 of 2

    window 0        | window 1        | .. | window 3        | MLP of 0, 1, .. | MLP of the rest
      LN1 of 1          LN1 of 2, LN2       LN1 of 4, LN2       LN2 of the last   band goes home
    ```
    """

    def __init__(self, block: Block, band: Band, home: TokenHome, emitter: WindowEmitter) -> None:
        self.block, self.band, self.home, self.emitter = block, band, home, emitter
        self.windows = windows_of(block)
        self.channels = block.proj.weight.shape[0]
        self.attention = WindowAttention(block, band.attended, emitter)
        linear = block.proj
        weight = pad_heads(linear.weight, band.heads, band.dim, band.padded)
        self.proj = added_tiles(emitter, linear, weight, block.res1, block.ln2.alpha)
        self.fc1 = requantized_tiles(emitter, block.fc1)
        none: Array = block.ln2.alpha * 0  # what follows sums up what it finds
        self.fc2 = added_tiles(emitter, block.fc2, block.fc2.weight, block.res2, none)

    def lower(self, before: Step | None) -> Step | None:
        """All bands; ``before`` is the last step that wrote the stream, and so is the result."""
        table, band = self._table(), self.band
        self.emitter.residuals.restart()
        parts = [self._enter(0, None, before)]
        waiting: deque[_Visit] = deque()
        last: Step | None = None
        for turn in range(self.windows.count // band.part):
            part = parts[turn]
            follows = part.first + band.part < self.windows.count
            early = not part.last or band.places > 1
            if follows and early:
                parts.append(self._enter(turn + 1, part, before))
            self._attend(part)
            if part.last:
                waiting.append(part.visit)
            while waiting and not (band.overlaps and follows and len(waiting) == 1):
                last = self._finish(waiting.popleft(), table)
            if follows and not early:
                parts.append(self._enter(turn + 1, part, before))
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

    def _enter(self, turn: int, part: _Part | None, before: Step | None) -> _Part:
        """Bring the windows behind those of ``part`` and run their LN1."""
        emitter, band = self.emitter, self.band
        emitter.begin_layer(f"{self.block.name}.attention")
        first = turn * band.part
        if part is None or part.last:
            at = emitter.residuals.take(band.tokens * band.residual)
            visit = _Visit(first=first, at=at, turn=first // band.windows)
        else:
            visit = part.visit
        order = windows_runs(self.windows, first, band.part)
        runs, padding = list(lines(order)), [run for run in order if run.source is None]
        at = visit.at + (first - visit.first) * band.size * band.residual
        user = emitter.residuals.user(at, band.part * band.size * band.residual)
        after = emitter.after(before, user)
        brought = emitter.mover.bring(self.home, at, band.residual, runs, after)
        for run in padding:  # whose sums mean nothing, but must be sums of something
            word = at + run.target * band.residual
            brought.append(emitter.mover.clear(word, band.residual, run.count, band.residual))
        zeros = self._first_norm(at, first, turn, brought, padding)
        last = first + band.part == visit.first + band.windows
        return _Part(visit=visit, first=first, turn=turn, zeros=zeros, last=last)

    def _first_norm(
        self, at: int, first: int, turn: int, brought: list[Demand], padding: list[Run]
    ) -> list[Demand]:
        """LN1 in window order, each window from a row group on; loads of zeros behind it."""
        emitter, band, norm = self.emitter, self.band, self.block.ln1
        stride, base = band.residual, self._first(turn)
        for w, rows in self.attention.spans:
            token = band.sums + w * band.groups * self.emitter.config.rows
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
        emitter.outputs.windowed(norm.output, base, band.x, 1, band.attended, first)
        if emitter.outputs.enabled:
            emitter.main[-1].needs += zeros
        return zeros

    def _first(self, turn: int) -> int:
        return self.band.firsts[turn % len(self.band.firsts)]

    def _second(self, turn: int) -> int:
        return self.band.seconds[turn % len(self.band.seconds)]

    def _attend(self, part: _Part) -> None:
        """Attention and projection of some windows, and LN2 of the row groups that are complete."""
        emitter, band, block, visit = self.emitter, self.band, self.block, part.visit
        emitter.begin_layer(f"{block.name}.attention")
        self.attention.lower(part.first, self._first(part.turn), part.zeros, self.proj)
        emitter.begin_layer(f"{block.name}.proj")
        stride, begin = band.heads * band.q, (part.first - visit.first) * band.size
        for segment in emitter.segments(self.proj):
            demand = emitter.loaded(self.proj, segment)
            for w, rows in self.attention.spans:
                source = (band.attn_at + w * band.groups * stride, stride)
                target = Residual(base=visit.at, stride=band.residual)
                fields = target.fields(begin + w * band.size, segment[0], emitter.config)
                emitter.product(self.proj, demand, segment, source, rows, fields)
        self._keep(block.res1.output, visit, part.first, band.part)
        rows, end = emitter.config.rows, begin + band.part * band.size
        low, high = begin // rows * rows, end if part.last else end // rows * rows
        second = self._second(visit.turn)
        if low < high:
            emitter.normalise(
                block.ln2, self.channels, visit.at + low * band.residual, band.residual, low,
                high - low, (second + low // rows * band.x, band.x),
            )  # fmt: skip
        if part.last:
            whole = (0, ceil_div(band.tokens, rows))
            emitter.outputs.banded(
                block.ln2.output, second, band.x, band, self.windows, visit.first, whole
            )

    def _finish(self, visit: _Visit, table: Demand) -> Step | None:
        """The MLP of a band, piece by piece; windows go home. The last step of it."""
        emitter, band, block = self.emitter, self.band, self.block
        last, left, rows = None, 0, emitter.config.rows
        for first, count in band.pieces:
            token = first * rows
            tokens = min(count * rows, band.tokens - token)
            emitter.begin_layer(f"{block.name}.fc1")
            hidden = Act(base=band.hidden_at, stride=band.hidden)
            source = (self._second(visit.turn) + first * band.x, band.x)
            emitter.sweep(self.fc1, [(source, tokens, hidden)], needs=[table], gelu=True)
            emitter.outputs.banded(
                block.gelu.output, band.hidden_at, band.hidden, band, self.windows, visit.first,
                (first, count),
            )  # fmt: skip
            emitter.begin_layer(f"{block.name}.fc2")
            target = Residual(base=visit.at, stride=band.residual)
            source = (band.hidden_at, band.hidden)
            emitter.sweep(self.fc2, [(source, tokens, target)], token)
            through = (token + tokens) // band.size
            if through > left:
                at = visit.first + left, through - left
                self._keep(block.res2.output, visit, *at)
                word, runs = self._runs(visit, *at)
                last = emitter.mover.leave(self.home, word, band.residual, runs)
            left = through
        return last

    def _runs(self, visit: _Visit, first: int, count: int) -> tuple[int, list[Lines]]:
        """The word of window ``first`` of a band, and the runs of ``count`` windows from there."""
        band = self.band
        word = visit.at + (first - visit.first) * band.size * band.residual
        return word, list(lines(windows_runs(self.windows, first, count)))

    def _keep(self, name: str, visit: _Visit, first: int, count: int) -> None:
        """Checkpoint of the stream of some windows."""
        word, runs = self._runs(visit, first, count)
        self.emitter.keep_stream(name, self.home, word, self.band.residual, runs)
