"""What ATTEND has to know of the softmax of one head, wherever its rows lie."""

from __future__ import annotations

from typing import Any

from golden.ops.softmax import AttnFormat
from hw.compiler.frontend.network import Block


def head_softmax(block: Block, head: int) -> dict[str, Any]:
    """Fields of an ``Attend``: exponent of the logits, code rule, mask, shift of results, width."""
    softmax = block.softmax
    assert softmax.fmt is not None
    return {
        "frac": -int(softmax.logit_exp[head]),
        "half": softmax.fmt is AttnFormat.HALF,
        "fq": softmax.rule.fq,
        "odd": softmax.rule.odd,
        "even": softmax.rule.even,
        "masked": softmax.masked,
        "shift": int(block.attn.shift[head]) + softmax.fmt.fraction_bits,
        "narrow": block.attn.out_bits == 4,
    }
