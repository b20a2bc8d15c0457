"""Patch merging: four tokens side by side, their LayerNorm, and the next stage's stream."""

from __future__ import annotations

from dataclasses import replace

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

    def lower(self, before: Step | None) -> Step | None:
        """All rows; ``before`` wrote the source last, the result the next stream."""
        self.emitter.begin_layer(f"{self.merging.name}.reduction")
        last = None
        most = rows_at_a_time(self.height, self.width, self._needs, self.config, "merged tokens")
        self.emitter.use_act(self._needs(most)[Space.ACT])
        for first in range(0, self.height, most):
            count = min(most, self.height - first)
            last = self._lower_rows(first, count, most, before)
        return last

    def _needs(self, rows: int) -> dict[Space, int]:
        """Words that so many rows of merged tokens take."""
        tokens = rows * self.width
        return {
            Space.ACT: 1 + ceil_div(tokens, self.config.rows) * self.x,
            Space.RESIDUAL: tokens * (QUARTERS * self.each + self.stride),
            Space.STATISTICS: tokens,
        }

    def _lower_rows(self, first: int, count: int, most: int, before: Step | None) -> Step | None:
        emitter, norm = self.emitter, self.norm
        tokens, wide = count * self.width, QUARTERS * self.each
        at = emitter.residuals.take(tokens * (wide + self.stride))
        result = at + tokens * wide
        user = emitter.residuals.user(at, tokens * (wide + self.stride))
        brought = self._bring(at, first, count, emitter.after(before, user))
        zeros = emitter.mover.clear(result, self.stride, tokens, self.stride)
        emitter.measure(norm, norm.alpha, at, wide, 0, tokens, brought)
        emitter.normalise(norm, QUARTERS * self.channels, at, wide, 0, tokens, (0, self.x))
        words = ceil_div(tokens, self.config.rows) * self.x
        emitter.outputs.tokens(
            self.merging.ln0.output, 0, words, QUARTERS, first // most, most * self.width
        )
        target = Residual(base=result, stride=self.stride)
        emitter.sweep(self.tiles, [((0, self.x), tokens, target)], needs=[zeros])
        line = Lines(source=first * self.width, length=tokens)
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
