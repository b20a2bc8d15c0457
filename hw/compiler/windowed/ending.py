"""The end of a windowed network: LayerNorm of all tokens, their sum, the classifier."""

from __future__ import annotations

import numpy as np

from golden.ops.psmac import MacMode
from golden.support.errors import PotvitError
from hw.compiler.image.layout import Tiles, add_tiles, parameters
from hw.compiler.lower.head import lower_head
from hw.compiler.plan.sizes import NoRoomError
from hw.compiler.step import Step
from hw.compiler.windowed.emitter import WindowEmitter
from hw.compiler.windowed.network import WindowedNetwork
from hw.compiler.windowed.tokens import Lines, TokenHome
from hw.formats.memories import Space, memories
from hw.isa.payload import Attend
from hw.lib.numbers import ceil_div, round_up
from hw.program.destination import Logit, Value

#: Fraction bits of a sum of values that codes weigh.
FRACTION = 14


def code_threshold(tokens: int, shift: int) -> int:
    """The threshold with which each of ``tokens`` equal logits earns the code ``shift``.

    E/S is 1/tokens for all of them, and code ``k`` wants ``256 * tokens >= T * 2^(k-1)``: of the T
    that hold for ``k = shift`` and no longer for ``k = shift + 1`` the largest that fits.
    ``PotvitError`` where there is none.
    """
    largest = (1 << Attend.width("odd")) - 1
    if shift == 0:
        threshold, least = largest, 256 * tokens + 1
    else:
        threshold = min(largest, (256 * tokens) >> (shift - 1))
        least = ((256 * tokens) >> shift) + 1
    if threshold < least:
        raise PotvitError(
            f"a sum of {tokens} tokens shifted by {shift}: no code threshold below "
            f"{largest + 1} stands for it"
        )
    return threshold


class EndLowering:
    """Lowers LayerNorm, pooling and classifier of the stream at ``home``.

    Pooling is attention of one query that sees every token alike: the tokens go to VALUE through
    an identity matrix, logits are zeros, and a threshold gives every key the code that the sum's
    shift is.
    """

    def __init__(self, network: WindowedNetwork, home: TokenHome, emitter: WindowEmitter) -> None:
        self.network, self.home, self.emitter = network, home, emitter
        self.config = config = emitter.config
        stage = network.stages[-1]
        self.tokens, self.channels = stage.tokens, stage.channels
        self.x = ceil_div(self.channels, config.act_bytes)
        self.stride = self.x * config.tile_act_granules
        self.groups = ceil_div(self.tokens, config.rows)
        self.sum_at = self.groups * self.x
        needs = {
            Space.ACT: 1 + self.sum_at + self.x,
            Space.RESIDUAL: self.tokens * self.stride,
            Space.STATISTICS: self.tokens,
            Space.VALUE: round_up(self.tokens, config.keys_per_cycle),
        }
        for space, words in needs.items():
            if words > memories(config)[space].words:
                raise NoRoomError(space, words, config, " for all tokens that are pooled")
        if self.tokens > config.max_keys:
            raise PotvitError(
                f"{self.tokens} tokens are pooled, but configuration {config.name!r} stops at "
                f"{config.max_keys} (max_keys)"
            )
        emitter.use_act(needs[Space.ACT])

    def lower(self, before: Step | None) -> None:
        """LayerNorm of all tokens, pooling and classifier."""
        emitter, norm = self.emitter, self.network.norm
        emitter.begin_layer("head")
        words = self.tokens * self.stride
        at = emitter.residuals.take(words)
        line = Lines(source=0, length=self.tokens)
        after = emitter.after(before, emitter.residuals.user(at, words))
        brought = emitter.mover.bring(self.home, at, self.stride, [line], after)
        emitter.measure(norm, norm.alpha, at, self.stride, 0, self.tokens, brought)
        emitter.normalise(norm, self.channels, at, self.stride, 0, self.tokens, (0, self.x))
        emitter.outputs.tokens(norm.output, 0, self.sum_at)
        self._zero_logits()
        self._pool()
        pool = self.network.pool
        emitter.outputs.tokens(pool.output, self.sum_at, self.x)
        lower_head(self.network.head, emitter, emitter.outputs, (self.sum_at, self.x))

    def _zero_logits(self) -> None:
        """One row of equal logits, one for each token."""
        config, emitter = self.config, self.emitter
        weight = np.zeros((self.tokens, 1), np.int8)
        params = parameters(config, self.tokens)
        tiles = add_tiles(emitter.dram, config, weight, MacMode.W8, params)
        demand = emitter.demand_tiles(tiles, 0, tiles.count)
        fields = Logit(base=0, slot=0).fields(0, 0, config)
        emitter.product(tiles, demand, (0, tiles.count), (emitter.plan.idle, 0), 1, fields)

    def _pool(self) -> None:
        config, emitter, pool = self.config, self.emitter, self.network.pool
        threshold = code_threshold(self.tokens, pool.shift)
        lanes = config.head_lanes
        made: dict[int, Tiles] = {}
        for first in range(0, self.channels, lanes):
            count = min(lanes, self.channels - first)
            if count not in made:
                identity = np.eye(count, dtype=np.int8)
                params = parameters(config, count)
                made[count] = add_tiles(emitter.dram, config, identity, MacMode.W8, params)
            word = first // config.act_bytes
            emitter.sweep(made[count], [((word, self.x), self.tokens, Value(base=0))])
            emitter.add(
                Attend(
                    l_addr=0, slot=0, keys=self.tokens, frac=0, odd=threshold, even=0, v_addr=0,
                    shift=FRACTION, d_addr=self.sum_at + word,
                    d_words=ceil_div(count, config.act_bytes),
                )
            )  # fmt: skip
