"""Instructions from tiles, regions and token blocks; the operators' lowering uses it."""

from __future__ import annotations

from typing import Any

from golden.graph import ir
from hw.compiler.image.layout import Dram, Tiles
from hw.compiler.lower.products import Products
from hw.compiler.lower.stream import ResidualStream
from hw.compiler.plan.allocate import Part, Plan, Region
from hw.compiler.step import Demand, Step
from hw.config import Config
from hw.isa.payload import Mem, Norm
from hw.program.destination import Act, Destination, Residual


class Emitter(Products):
    """Writes whole instructions from tiles, regions and token blocks."""

    def __init__(self, config: Config, plan: Plan, dram: Dram, graph: ir.Graph) -> None:
        super().__init__(config, dram, graph, plan.ring)
        self.plan = plan
        self.stream = ResidualStream(self, plan)
        self._kept: dict[int, tuple[Tiles, list[Demand]]] = {}
        self._norm_users: dict[int, Step] = {}
        self._norm_holders: dict[int, int] = {}

    def keep(self, *layers: Tiles) -> None:
        """Load these layers' weights once for all token blocks, if the ring has room for them.

        A quarter of it stays for what is loaded meanwhile. Where tokens stream through ACT the
        blocks are too many and the ring too small.
        """
        words = sum(tiles.count * tiles.pitch for tiles in layers)
        if self.plan.streamed is None and 4 * words <= 3 * self.plan.ring:
            self._kept |= {id(tiles): (tiles, []) for tiles in layers}

    def loaded(self, tiles: Tiles) -> list[tuple[tuple[int, int], Demand]]:
        """The loads of a layer for one token block, each with its tiles (first, count)."""
        pieces = self.segments(tiles)
        _, demands = self._kept.get(id(tiles), (tiles, []))
        if not demands:
            demands += [self.demand_tiles(tiles, *piece) for piece in pieces]
        return list(zip(pieces, demands, strict=True))

    def matmul(
        self,
        tiles: Tiles,
        demand: Demand,
        segment: tuple[int, int],
        source: Region,
        part: Part,
        target: Destination,
        **flags: Any,
    ) -> Step:
        """One MATMUL: tiles ``segment`` (first, count) of a layer over the groups of ``part``."""
        at = (source.base + part.first * source.stride, source.stride)
        token, rows = self.plan.token_range(part)
        fields = target.fields(token, segment[0], self.config)
        needs = []
        if isinstance(target, Residual) and self.stream.brought is not None:
            needs.append(self.stream.brought)
        return self.product(tiles, demand, segment, at, rows, fields, needs, **flags)

    def act_target(self, region: Region, offset_words: int = 0) -> Act:
        """Requantized results into the activation region, ``offset_words`` into each group."""
        return Act(base=region.base + offset_words, stride=region.stride)

    def sweep(
        self, tiles: Tiles, source: Region, part: Part, target: Destination, **flags: Any
    ) -> list[Step]:
        """All tiles of a layer over one token block."""
        steps = []
        for segment, demand in self.loaded(tiles):
            steps.append(self.matmul(tiles, demand, segment, source, part, target, **flags))
        return steps

    def norm_params(self, offset: int, index: int) -> tuple[Demand, int]:
        """Load the parameters of LayerNorm number ``index`` into its set; returns its address."""
        address = self.plan.norms[index % len(self.plan.norms)]
        self._norm_holders[address] = index
        steps = self.norm_steps
        demand = self.demand(
            Mem.NORM,
            steps,
            offset,
            address,
            after=self._norm_users.get(address),
        )
        return demand, address

    def norm_there(self, index: int) -> bool:
        """Whether the parameters of LayerNorm number ``index`` are still in their set."""
        return self._norm_holders.get(self.plan.norms[index % len(self.plan.norms)]) == index

    @property
    def norm_steps(self) -> int:
        """Parameter words of a LayerNorm: padded channels over K."""
        return self.plan.residual_stride * self.config.cols // self.config.lanes

    def norm(
        self,
        params: tuple[Demand, int],
        channels: int,
        node: ir.LayerNorm,
        first: int,
        count: int,
        to: Region,
    ) -> Step:
        """LayerNorm ``node`` of ``count`` tokens from ``first`` into region ``to``."""
        demand, address = params
        group = first // self.config.rows
        body = Norm(
            r_addr=self.stream.address(first),
            token=first,
            count=count,
            channels=channels,
            steps=self.norm_steps,
            p_addr=address,
            shift=node.shift,
            narrow=node.out_bits == 4,
            d_addr=to.base + group * to.stride,
            d_stride=to.stride,
        )
        step = self.add(body, needs=[demand])
        self._norm_users[address] = step
        return step
