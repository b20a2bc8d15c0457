"""Patch embedding: image bands, weight tiles and position constants share the bus.

The array starts as soon as one row group and one weight tile are there. In the first token block
bands and tiles alternate so that their product, the work at hand, grows fastest; the other blocks
find the weights resident, or stream them again. A clock of bus, FIFO and array (`Pace`) decides
what the LOAD unit does next: constants as long as the FIFO takes them, else the next band or tile.
"""

from __future__ import annotations

from collections import deque

from hw.compiler.frontend.network import Network
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import constant_rows
from hw.compiler.lower.emitter import Emitter
from hw.compiler.lower.pace import Pace
from hw.compiler.lower.weights import patch_tiles
from hw.compiler.plan.allocate import Part
from hw.compiler.step import Demand, Step
from hw.formats.memories import Space
from hw.isa.payload import Gather, Mem
from hw.lib.numbers import ceil_div
from hw.program.regions import Region

#: Loads that one band of the image is cut into, so that constants can pass between them.
BAND_PIECES = 4


class EmbedLowering:
    """Lowers patch embedding, one token block after the other.

    ``picture`` is the picture's offset in its region. What used the patches' words before is done
    with them first.
    """

    def __init__(
        self, network: Network, emitter: Emitter, outputs: Outputs, picture: int = 0
    ) -> None:
        self.network, self.emitter, self.outputs = network, emitter, outputs
        self.config, self.plan = emitter.config, emitter.plan
        self.tiles = patch_tiles(emitter, network.patch, network.embed, network.first_norm)
        _, width, channels = network.image_shape
        self.patches = width // network.patch.patch
        self.row_bytes = width * channels
        self._picture = picture
        base, words = self.plan.patches.base, self.plan.patches.stride * self.plan.groups
        self._before = emitter.last_user(Space.ACT, base, base + words)
        self._band_loads: list[Demand] = []
        self._tile_loads: dict[int, Demand] = {}
        self._pace = Pace(self.config)
        self._waiting: deque[tuple[int, Part]] = deque()
        self._resident = self.tiles.count * self.tiles.pitch <= self.plan.ring * 3 // 4

    def lower(self, part: Part) -> None:
        """Emit one token block."""
        if self._resident and part.first > 0:
            self._by_band(part)
        else:
            self._tile_loads = {}
            self._staircase(part)
        self._issue(0)
        self.outputs.residual(self.network.embed.output, part)

    def _by_band(self, part: Part) -> None:
        """All resident tiles for every few row groups that a band completes."""
        groups = part.first
        while groups < part.end:
            ready = min(self._groups_ready(), part.end)
            if ready > groups:
                for tile in range(self.tiles.count):
                    self._work(tile, Part(groups, ready - groups))
                groups = ready
            else:
                self._load_band()

    def _staircase(self, part: Part) -> None:
        """Bands and tiles in turn; each brings the work of one more row or column of tiles."""
        room = max(1, self.plan.ring // self.tiles.pitch - 1)
        groups, count = part.first, 0
        groups = max(groups, min(self._groups_ready(), part.end))
        bands = tiles = 0
        while groups < part.end or count < self.tiles.count:
            held = count if groups < part.end else len({tile for tile, _ in self._waiting})
            more = count < self.tiles.count and groups > part.first
            if more and held < room and (tiles <= bands or groups == part.end):
                tiles += self._load_tile(count)
                self._work(count, Part(part.first, groups - part.first))
                count += 1
            elif groups < part.end:
                bands += self._load_band()
                ready = min(self._groups_ready(), part.end)
                for tile in range(count) if ready > groups else ():
                    self._work(tile, Part(groups, ready - groups))
                groups = max(groups, ready)
            else:
                self._issue(len(self._waiting) - 1)

    def _groups_ready(self) -> int:
        """Row groups whose patches the bands so far have brought."""
        tokens = 1 + len(self._band_loads) // self._pieces * self.patches
        full = tokens >= self.plan.tokens
        return self.plan.groups if full else tokens // self.config.rows

    @property
    def _pieces(self) -> int:
        """Loads per band: whole image rows of whole beats."""
        patch = self.network.patch.patch
        for pieces in (BAND_PIECES, 2):
            if (
                patch % pieces == 0
                and patch // pieces * self.row_bytes % self.config.axi_bytes == 0
            ):
                return pieces
        return 1

    def _load_band(self) -> int:
        """Load the next row of patches; returns the cycles it takes."""
        patch, plan, config = self.network.patch.patch, self.plan, self.config
        segment = self.row_bytes // self.patches
        words = ceil_div(segment, config.act_bytes)
        rows = patch // self._pieces
        size = rows * self.row_bytes
        first = 1 + len(self._band_loads) // self._pieces * self.patches
        group = first // config.rows
        cycles = 0
        for piece in range(self._pieces):
            body = Gather(
                mem=Mem.ACT,
                flip=True,
                addr=plan.patches.base + group * plan.patches.stride + piece * rows * words,
                stride=plan.patches.stride,
                bank=first % config.rows,
                line_addr=words,
                seg_bytes=segment,
                segs=self.patches,
                rows=rows,
                runs=1,
                beats=size // config.axi_bytes,
                dram=self._picture + len(self._band_loads) * size,
            )
            step = Step(layer=0, body=body, region=Region.PICTURE)
            demand = Demand(step=step, after=self._before)
            self._constants_first()
            self._band_loads.append(demand)
            self.emitter.loads.append(demand)
            cycles += self._pace.load(demand)
        return cycles

    def _load_tile(self, tile: int) -> int:
        """Load one weight tile; returns the cycles it takes."""
        self._constants_first()
        self._tile_loads[tile] = self.emitter.demand_tiles(self.tiles, tile, 1)
        return self._pace.load(self._tile_loads[tile])

    def _work(self, tile: int, part: Part) -> None:
        """Queue the MATMULs of one tile and some row groups, in pieces that the FIFO holds."""
        most = max(1, self.config.const_rows // (2 * self.config.rows))
        for first in range(part.first, part.end, most):
            self._waiting.append((tile, Part(first, min(most, part.end - first))))

    def _constants_first(self) -> None:
        """Bring constants of waiting work while the FIFO would take them at once."""
        while self._waiting and self._pace.takes(self._rows(self._waiting[0][1])):
            self._matmul(*self._waiting.popleft())

    def _issue(self, left: int) -> None:
        """Bring constants, waiting for the FIFO if need be, until ``left`` pieces wait."""
        while len(self._waiting) > left:
            self._matmul(*self._waiting.popleft())

    def _rows(self, part: Part) -> int:
        return self.plan.token_range(part)[1]

    def _matmul(self, tile: int, part: Part) -> None:
        emitter, config = self.emitter, self.config
        first, count = self.plan.token_range(part)
        constant = self.network.embed.constant
        assert constant is not None
        step = emitter.matmul(
            self.tiles,
            self._tile_loads[tile],
            (tile, 1),
            self.plan.patches,
            part,
            emitter.stream.target(),
            const_old=True,
            zero_first=part.first == 0,
        )
        offset = emitter.dram.add(constant_rows(constant, config, tile, first, count))
        rows = emitter.demand(Mem.CONST, count, offset, consumer=step)
        bands = ceil_div(max(0, first + count - 1), self.patches) * self._pieces
        step.needs += [rows, *self._band_loads[:bands]]
        self._pace.work(step, rows)
