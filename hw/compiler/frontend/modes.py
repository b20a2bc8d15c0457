"""Which mode of the array a layer of the graph runs in."""

from __future__ import annotations

from golden.graph import ir
from golden.ops.psmac import MacMode

#: The mode by the bits of weights and of inputs; 8-bit weights meet 8-bit inputs only.
MODES = {(8, 8): MacMode.W8, (4, 8): MacMode.W4, (4, 4): MacMode.W4A4}


def mode_of(node: ir.Linear | ir.PatchEmbed | ir.Head, graph: ir.Graph) -> MacMode:
    """The mode of a layer of ``graph``, which has passed its own checks."""
    return MODES[node.bits, graph.tensors[node.inputs[0]].bits]
