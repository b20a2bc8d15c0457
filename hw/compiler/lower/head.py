"""The classifier, on the selected token alone."""

from __future__ import annotations

from hw.compiler.frontend.network import Network
from hw.compiler.image.checkpoints import Outputs
from hw.compiler.image.layout import add_tiles, parameters
from hw.compiler.lower.emitter import Emitter
from hw.compiler.lower.norm import FinalNormLowering, NormLowering
from hw.compiler.plan.allocate import Part
from hw.program.destination import Out


def lower_head(network: Network, emitter: Emitter, outputs: Outputs, norm: NormLowering) -> None:
    """Logits of the token that the last LayerNorm ``norm`` kept, stored while others are made."""
    config, head = emitter.config, network.head
    if head is None:
        return
    emitter.begin_layer("head")
    params = parameters(config, network.classes, bias=head.bias, la=head.la, name=head.name)
    tiles = add_tiles(emitter.dram, config, head.weight, head.bits, params)
    source = emitter.plan.x
    if isinstance(norm, FinalNormLowering):
        assert norm.at is not None
        source = norm.at
    used = 0
    for first, count in emitter.segments(tiles):
        done = 0
        while done < count:  # a load longer than what is left of the out buffer is cut
            at = used % config.out_words
            piece = min(count - done, config.out_words - at)
            start = first + done
            demand = emitter.demand_tiles(tiles, start, piece)
            target = Out(base=at - start)
            emitter.matmul(tiles, demand, (start, piece), source, Part(0, 1), target, rows_last=1)
            outputs.logits(head.output, start, piece, at)
            done += piece
            used += piece
