"""Patch merging: four tokens side by side, their LayerNorm, and the next stage's stream."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from golden.graph import ir
from hw.compiler.image.layout import pad_heads
from hw.compiler.lower.weights import added_tiles
from hw.compiler.step import Demand, Step
from hw.compiler.windowed.emitter import WindowEmitter
from hw.compiler.windowed.network import Merging
from hw.compiler.windowed.plan import rows_at_a_time
from hw.compiler.windowed.tokens import Lines, TokenHome
from hw.formats.memories import Space
from hw.lib.numbers import Array, ceil_div, round_up
from hw.program.destination import Residual

QUARTERS = 4
#: Pieces under way together where there is room: one in LayerNorm, one in the array.
TURNS = 2


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """``count`` rows of merged tokens from ``first`` on, in place ``turn`` of ``turns``.

    It is piece ``number`` of those of ``most`` rows.
    """

    number: int
    turn: int
    turns: int
    first: int
    count: int
    most: int


class MergingLowering:
    """Lowers the merging of the stream at ``source`` into the one of stage number ``stage``.

    Token runs put the four neighbours (0, 0), (1, 0), (0, 1), (1, 1) of a square side by side: of
    an even row of the grid every token is two tokens' words behind the one before it, and the odd
    row's follow one token's words later. Neighbours beyond the grid are zeros.
    """

    def __init__(
        self, merging: Merging, source: TokenHome, stage: int, emitter: WindowEmitter
    ) -> None:
        self.merging, self.source, self.emitter = merging, source, emitter
        self.config = config = emitter.config
        self.channels = merging.linear.weight.shape[1] // QUARTERS
        padded = round_up(self.channels, config.act_bytes)
        self.each = padded // config.cols  # words of RESIDUAL that one of the four takes
        self.x = QUARTERS * padded // config.act_bytes
        made = round_up(merging.linear.weight.shape[0], config.act_bytes)
        self.stride = made // config.cols
        weight = pad_heads(merging.linear.weight, QUARTERS, self.channels, padded)
        none: Array = merging.add.shift * 0
        self.tiles = added_tiles(emitter, merging.linear, weight, merging.add, none)
        self.norm = _spread(merging.ln0, self.channels, padded)
        self.height, self.width = merging.merge.merged
        self.home = emitter.stream_home(stage, self.height * self.width, self.stride)
        self._at = 0

    def lower(self, before: Step | None) -> Step | None:
        """All rows; ``before`` is the last step that wrote the source, as the result of the next.

        With two places the LayerNorm of a piece runs under the products of the one before.
        """
        emitter = self.emitter
        emitter.begin_layer(f"{self.merging.name}.reduction")
        most, turns = self._pieces()
        emitter.use_act(self._needs(most, turns)[Space.ACT])
        emitter.residuals.restart()
        self._at = emitter.residuals.take(self._needs(most, turns)[Space.RESIDUAL])
        emitter.keep(self.tiles)
        last, waiting = None, deque[_Piece]()
        for number, first in enumerate(range(0, self.height, most)):
            count = min(most, self.height - first)
            piece = _Piece(number=number, turn=number % turns, turns=turns, first=first,
                           count=count, most=most)  # fmt: skip
            self._norm(piece, before)
            waiting.append(piece)
            if len(waiting) == turns:
                last = self._reduce(waiting.popleft())
        for piece in waiting:
            last = self._reduce(piece)
        return last

    def _pieces(self) -> tuple[int, int]:
        """Rows of merged tokens at a time and places for them: what seems the shortest."""
        found = []
        for turns in range(TURNS, 0, -1):
            most = rows_at_a_time(
                self.height, self.width, partial(self._needs, turns=turns), self.config,
                "merged tokens", turns == 1,
            )  # fmt: skip
            found += [(self._guess(rows, turns), -turns, rows) for rows in range(1, most + 1)]
        _, turns, most = min(found)
        return most, -turns

    def _guess(self, rows: int, turns: int) -> int:
        """Cycles, roughly: units run beside one another but for a piece's way to the array."""
        config, tiles = self.config, self.tiles
        pieces = [min(rows, self.height - first) for first in range(0, self.height, rows)]
        groups = sum(ceil_div(count * self.width, config.rows) for count in pieces)
        wide = QUARTERS * self.each
        array = groups * (tiles.count * max(tiles.chunks, config.rows) + wide * config.rows)
        times = 1 if self.emitter.keeps(tiles) else len(pieces)
        beats = tiles.count * tiles.pitch * config.stream_bytes // config.axi_bytes
        tokens = self.height * self.width
        load = times * beats + tokens * (wide + self.stride)
        alone = tokens * wide * (1 + config.cols // config.lanes)
        return max(array, load, alone) + ceil_div(alone, len(pieces) if turns > 1 else 1)

    def _needs(self, rows: int, turns: int) -> dict[Space, int]:
        """Words that ``turns`` pieces of so many rows of merged tokens take."""
        tokens = rows * self.width
        groups = ceil_div(tokens, self.config.rows)
        return {
            Space.ACT: 1 + turns * groups * self.x,
            Space.RESIDUAL: turns * tokens * (QUARTERS * self.each + self.stride),
            Space.STATISTICS: turns * groups * self.config.rows,
        }

    def _norm(self, piece: _Piece, before: Step | None) -> None:
        """Bring a piece and run its LayerNorm."""
        emitter, norm, wide = self.emitter, self.norm, QUARTERS * self.each
        room, tokens = piece.most * self.width, piece.count * self.width
        at = self._at + piece.turn * room * wide
        user = emitter.residuals.user(at, room * wide)
        brought = self._bring(at, piece.first, piece.count, emitter.after(before, user))
        token = self._group(piece) * self.config.rows
        emitter.measure(norm, norm.alpha, at, wide, token, tokens, brought)
        made = self._group(piece) * self.x
        emitter.normalise(norm, QUARTERS * self.channels, at, wide, token, tokens, (made, self.x))
        words = ceil_div(tokens, self.config.rows) * self.x
        emitter.outputs.tokens(self.merging.ln0.output, made, words, QUARTERS, piece.number, room)

    def _group(self, piece: _Piece) -> int:
        """The first row group of a piece's place."""
        return piece.turn * ceil_div(piece.most * self.width, self.config.rows)

    def _reduce(self, piece: _Piece) -> Step | None:
        """The linear layer of a piece, whose result goes home; the last step of it."""
        emitter, room = self.emitter, piece.most * self.width
        tokens = piece.count * self.width
        result = self._at + room * (piece.turns * QUARTERS * self.each + piece.turn * self.stride)
        zeros = emitter.mover.clear(result, self.stride, tokens, self.stride)
        token = self._group(piece) * self.config.rows
        target = Residual(base=result - token * self.stride, stride=self.stride)
        source = (self._group(piece) * self.x, self.x)
        emitter.sweep(self.tiles, [(source, tokens, target)], token, [zeros])
        line = Lines(source=piece.first * self.width, length=tokens)
        emitter.keep_stream(self.merging.add.output, self.home, result, self.stride, [line])
        return emitter.mover.leave(self.home, result, self.stride, [line])

    def _bring(self, at: int, first: int, count: int, after: Step | None) -> list[Demand]:
        """The tokens of ``count`` merged rows, zeros where the grid has none."""
        mover, each = self.emitter.mover, self.each
        height, width = self.merging.merge.grid
        brought = []
        for row in range(count):
            for down in range(2):
                y = 2 * (first + row) + down
                word = at + row * self.width * QUARTERS * each + down * each
                missing = 2 * self.width
                if y < height:
                    line = Lines(source=y * width, length=width)
                    brought += mover.bring(self.source, word, 2 * each, [line], after)
                    missing -= width
                if missing:
                    behind = word + (2 * self.width - missing) * 2 * each
                    brought.append(mover.clear(behind, 2 * each, missing, each))
        return brought


def _spread(norm: ir.LayerNorm, channels: int, padded: int) -> ir.LayerNorm:
    """The LayerNorm with each of its four parts padded to whole words of ACT."""
    if channels == padded:
        return norm

    def spread(values: Array) -> Array:
        out = np.zeros((QUARTERS, padded), values.dtype)
        out[:, :channels] = values.reshape(QUARTERS, channels)
        return out.reshape(-1)

    return replace(norm, alpha=spread(norm.alpha), gamma=spread(norm.gamma), beta=spread(norm.beta))
