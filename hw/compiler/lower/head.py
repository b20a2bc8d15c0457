"""The classifier, on the selected token alone."""

from __future__ import annotations

from golden.graph import ir
from hw.compiler.frontend.modes import mode_of
from hw.compiler.image.layout import add_tiles, parameters
from hw.compiler.image.stored import Stored
from hw.compiler.lower.products import Products
from hw.program.destination import Out


def lower_head(
    head: ir.Head | None, emitter: Products, outputs: Stored, source: tuple[int, int]
) -> None:
    """Logits of the token in the first row at ``source``, stored while others are made.

    ``source`` is the word of its row group in ACT and the words to the next one.
    """
    if head is None:
        return
    config = emitter.config
    emitter.begin_layer("head")
    classes = head.weight.shape[0]
    params = parameters(config, classes, bias=head.bias, la=head.la, name=head.name)
    mode = mode_of(head, emitter.graph)
    tiles = add_tiles(emitter.dram, config, head.weight, mode, params)
    used = 0
    for first, count in emitter.segments(tiles):
        done = 0
        while done < count:  # a load longer than what is left of the out buffer is cut
            at = used % config.out_words
            piece = min(count - done, config.out_words - at)
            start = first + done
            demand = emitter.demand_tiles(tiles, start, piece)
            target = Out(base=at - start).fields(0, start, config)
            emitter.product(tiles, demand, (start, piece), source, 1, target)
            outputs.logits(head.output, start, piece, at)
            done += piece
            used += piece
