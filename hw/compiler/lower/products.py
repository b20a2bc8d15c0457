"""MATMULs from weight tiles and places in ACT, whatever plan says where tensors lie."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from golden.graph import ir
from golden.ops.psmac import MacMode
from hw.compiler.image.layout import Dram, Tiles
from hw.compiler.lower.steps import Steps
from hw.compiler.step import Demand, Step
from hw.config import Config
from hw.formats.memories import Space
from hw.isa.payload import Matmul, Mem, Store
from hw.lib.numbers import ceil_div
from hw.program.regions import Region as Area


class Products(Steps):
    """Writes MATMULs of weight tiles, which pass through ``ring`` words of the stream buffer."""

    def __init__(self, config: Config, dram: Dram, graph: ir.Graph, ring: int) -> None:
        super().__init__(config, dram, graph)
        self.ring = ring

    def demand_tiles(self, tiles: Tiles, first: int, count: int) -> Demand:
        """Load ``count`` weight tiles from ``first`` into the ring."""
        offset = tiles.offset + first * tiles.pitch * self.config.stream_bytes
        return self.demand(Mem.STREAM, count * tiles.pitch, offset)

    def segments(self, tiles: Tiles) -> list[tuple[int, int]]:
        """Cut a layer's tiles into loads: long enough to be few, short enough to prefetch."""
        room = min(self.ring // 8, 112)
        pieces = ceil_div(tiles.count, max(1, room // tiles.pitch))
        bounds = [i * tiles.count // pieces for i in range(pieces + 1)]
        return [(a, b - a) for a, b in itertools.pairwise(bounds)]

    def product(
        self,
        tiles: Tiles,
        demand: Demand,
        segment: tuple[int, int],
        source: tuple[int, int],
        rows: int,
        target: dict[str, Any],
        needs: Iterable[Demand] = (),
        **flags: Any,
    ) -> Step:
        """One MATMUL of tiles ``segment`` (first, count) over ``rows`` rows.

        ``source`` is the word of the first row group and the words to the next; ``target`` the
        fields of a destination; ``demand`` the load of the tiles, ``needs`` other loads.
        """
        first, count = segment
        groups = ceil_div(rows, self.config.rows)
        last = first + count == tiles.count
        fields = {
            "a_addr": source[0],
            "a_stride": source[1],
            "w_stride": tiles.pitch,
            "chunks": tiles.chunks,
            "tiles": count,
            "groups": groups,
            "rows_last": rows - (groups - 1) * self.config.rows,
            "cols_last": tiles.cols_last if last else self.config.cols,
            "k_last": tiles.k_last % (1 << Matmul.width("k_last")),
            "w4": tiles.mode is not MacMode.W8,
            "x4": tiles.mode is MacMode.W4A4,
        }
        demand.users += 1
        return self.add(Matmul(**fields | target | flags), needs=[demand, *needs], tile=demand)

    def store(self, space: Space, addr: int, words: int, offset: int) -> None:
        """Store ``words`` words to offset ``offset`` of the output area."""
        self.add(Store(src=Mem(space), addr=addr, words=words, dram=offset), region=Area.OUTPUTS)
