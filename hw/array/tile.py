"""The record of one tile (one row group times one output tile) that travels to the drain."""

from amaranth.lib import data
from amaranth.utils import bits_for

from hw.config import Config
from hw.isa.instruction import PAYLOAD, Op

DRAIN_FIELDS = (
    "d_addr", "d_stride", "d_step", "dest", "group_outer", "gelu", "const_old", "stats_init",
    "token", "sub", "slot", "masked",
)  # fmt: skip

# A 16-bit address of an instruction plus strides: one more bit shows that it went too far.
ADDR_BITS = 17


def tile_layout(config: Config) -> data.StructLayout:
    """Fields of the instruction, then what is known of the tile.

    ``rows`` and ``cols`` real rows and columns; ``instr_first``, ``instr_last``: first and last
    tile of the instruction; ``group_first``: row group 0; ``tile_first``, ``tile_last``: first
    and last output tile.
    """
    widths = dict(PAYLOAD[Op.MATMUL])
    return data.StructLayout(
        {name: widths[name] for name in DRAIN_FIELDS}
        | {"rows": bits_for(config.rows), "cols": bits_for(config.cols)}
        | dict.fromkeys(("instr_first", "instr_last", "group_first", "tile_first", "tile_last"), 1)
    )
