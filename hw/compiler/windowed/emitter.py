"""What every part of a windowed network asks of the lowering: statistics, LayerNorm, the stream."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from golden.graph import ir
from golden.ops.psmac import MacMode
from hw.compiler.image.layout import Dram, Tiles, add_tiles, parameters
from hw.compiler.lower.products import Products
from hw.compiler.step import Demand, Step
from hw.compiler.windowed.outputs import WindowOutputs
from hw.compiler.windowed.plan import WindowPlan
from hw.compiler.windowed.rooms import NormRoom, TurnRoom
from hw.compiler.windowed.tokens import Lines, Mover, TokenHome
from hw.config import Config
from hw.formats.memories import Space
from hw.isa.payload import Norm
from hw.lib.numbers import Array
from hw.program.destination import Destination, Residual
from hw.program.regions import Region


class WindowEmitter(Products):
    """Steps of a windowed network; the stream is at home in DRAM, in rows of the grid."""

    def __init__(
        self, config: Config, plan: WindowPlan, dram: Dram, graph: ir.Graph, checkpoints: bool
    ) -> None:
        super().__init__(config, dram, graph, plan.ring)
        self.plan = plan
        self.mover = Mover(self)
        self.residuals = TurnRoom(self, Space.RESIDUAL)
        self.norms = NormRoom(self)
        self.outputs = WindowOutputs(self, graph, checkpoints)
        self.act_used = 0
        self._zero_tiles: dict[str, Tiles] = {}
        self._ahead: dict[tuple[Tiles, int], Demand] = {}
        self._kept: dict[tuple[Tiles, int], Demand] = {}

    def stream_home(self, stage: int, tokens: int, words: int) -> TokenHome:
        """Where the stream of stage number ``stage`` lives."""
        home = TokenHome.of(0, words, self, Region.SPILL)
        offset = self.shared_place(f"stream {stage}", tokens * home.pitch)
        return TokenHome.of(offset, words, self, Region.SPILL)

    def keep_stream(
        self, name: str, home: TokenHome, at: int, stride: int, runs: Iterable[Lines],
        needs: Iterable[Demand] = (),
    ) -> None:  # fmt: skip
        """Checkpoint ``name`` of the stream at ``home`` from RESIDUAL; nothing without any."""
        copy = self.outputs.stream(name, home)
        if copy is not None:
            self.mover.leave(copy, at, stride, runs, needs)

    def sweep(
        self,
        tiles: Tiles,
        pieces: list[tuple[tuple[int, int], int, Destination]],
        token: int = 0,
        needs: Iterable[Demand] = (),
        **flags: bool,
    ) -> list[Step]:
        """All tiles of a layer over pieces (source, rows, destination), weights loaded once.

        Weights that `keep` has loaded are there already.
        """
        made = []
        for segment in self.segments(tiles):
            demand = self.loaded(tiles, segment)
            for source, rows, target in pieces:
                fields = target.fields(token, segment[0], self.config)
                made.append(
                    self.product(tiles, demand, segment, source, rows, fields, needs, **flags)
                )
        return made

    def ahead(self, tiles: Tiles) -> None:
        """Load the first weights of a layer now: what comes next is behind loads of constants.

        Those wait for the array, and what is behind them for them.
        """
        segment = self.segments(tiles)[0]
        self._ahead[tiles, segment[0]] = self.demand_tiles(tiles, *segment)

    def keep(self, tiles: Tiles) -> None:
        """Load a layer once for all that use it from now on, if the ring has room (`keeps`)."""
        if self.keeps(tiles):
            for segment in self.segments(tiles):
                self._kept[tiles, segment[0]] = self.demand_tiles(tiles, *segment)

    def keeps(self, tiles: Tiles) -> bool:
        """Whether half the ring takes a layer."""
        return 2 * tiles.count * tiles.pitch <= self.ring

    def loaded(self, tiles: Tiles, segment: tuple[int, int]) -> Demand:
        """The load of tiles ``segment`` (first, count) of a layer, made now if not before."""
        key = (tiles, segment[0])
        made = self._kept.get(key) or self._ahead.pop(key, None)
        return made or self.demand_tiles(tiles, *segment)

    def measure(
        self, norm: ir.LayerNorm, alpha: Array, at: int, stride: int, token: int, rows: int,
        needs: Iterable[Demand],
    ) -> None:  # fmt: skip
        """Statistics of ``rows`` tokens of RESIDUAL from word ``at``, under numbers from ``token``.

        A product with zero weights adds nothing to each of them and sums up what it finds.
        """
        config = self.config
        if norm.name not in self._zero_tiles:
            params = parameters(config, alpha.size, alpha=alpha, name=norm.name)
            weight = np.zeros((alpha.size, 1), np.int8)
            self._zero_tiles[norm.name] = add_tiles(self.dram, config, weight, MacMode.W8, params)
        target = Residual(base=at - token * stride, stride=stride)
        piece = ((self.plan.idle, 0), rows, target)
        self.sweep(self._zero_tiles[norm.name], [piece], token, needs)

    def normalise(
        self, norm: ir.LayerNorm, channels: int, at: int, stride: int, token: int, count: int,
        to: tuple[int, int],
    ) -> Step:  # fmt: skip
        """LayerNorm of ``count`` tokens from word ``at`` to ACT word ``to[0]``, groups ``to[1]``.

        ``stride`` words hold a token, ``channels`` of its values are real; ``token`` is the number
        of its statistics.
        """
        address, demand = self.norms.parameters(norm)
        body = Norm(
            r_addr=at, token=token, count=count, channels=channels,
            steps=stride * self.config.cols // self.config.lanes, p_addr=address,
            shift=norm.shift, narrow=norm.out_bits == 4, d_addr=to[0], d_stride=to[1],
        )  # fmt: skip
        return self.add(body, needs=[demand])

    def use_act(self, words: int) -> None:
        """Note that words of ACT up to ``words`` are used."""
        self.act_used = max(self.act_used, words)

    def after(self, *steps: Step | None) -> Step | None:
        """The last of some steps that may be none."""
        return self.latest([step for step in steps if step is not None])
