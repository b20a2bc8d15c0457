"""Attention and MLP of random graphs: layers that go together."""

from __future__ import annotations

import numpy as np

from golden.execute.reference import split_heads
from golden.graph import ir
from golden.ops.gelu import Gelu
from golden.ops.softmax import AttnFormat, CodeRule, ExpForm
from golden.ops.windows import Windows
from golden.synthetic.growing import Array, one_exponent
from golden.synthetic.layers import Layers, coarser

GELU_ZERO = 96


class GraphBuilder(Layers):
    """Layers, and the parts of a block that are made of several; each returns its edge."""

    def attention(
        self,
        prefix: str,
        source: str,
        heads: int,
        bits: int,
        form: ExpForm,
        fmt: AttnFormat | None,
        rule: CodeRule,
        windows: Windows | None = None,
        out_bits: int = 8,
    ) -> str:
        """q, k, v, logits, codes and x V of ``heads`` heads, of all tokens or in ``windows``."""
        channels = self.values[source][0].shape[-1]
        q, k, v = (self.linear(f"{prefix}.{x}", source, channels, bits, heads=heads) for x in "qkv")
        logit_exp = np.array([-2 - h % 3 for h in range(heads)], np.int32)
        accs = [
            split_heads(a.astype(np.int64), heads) @ split_heads(b, heads).transpose(0, 2, 1)
            for a, b in zip(self.values[q], self.values[k], strict=True)
        ]
        shift = np.array(
            [self.fit([a[h] for a in accs], one_exponent(0)) for h in range(heads)], np.int32
        )
        bias, bias_shift = self._relative_bias(shift, windows)
        node = ir.Scores(
            name=f"{prefix}.scores",
            inputs=(q, k),
            output=f"{prefix}.scores",
            heads=heads,
            shift=shift,
            windows=windows,
            bias=bias,
            bias_shift=bias_shift,
        )
        scores = self.add(node, logit_exp)
        codes = self.add(
            ir.Softmax(
                name=f"{prefix}.codes",
                inputs=(scores,),
                output=f"{prefix}.codes",
                logit_exp=logit_exp,
                form=form,
                fmt=fmt,
                rule=rule,
                masked=windows is not None and windows.masks,
            ),
            one_exponent(0),
            "uint8",
        )
        v_exp = self.exponent(v)[:: channels // heads]
        out_exp = int(v_exp.max()) - 1 + coarser(out_bits)
        return self.add(
            ir.AttnValue(
                name=f"{prefix}.attn",
                inputs=(codes, v),
                output=f"{prefix}.attn",
                heads=heads,
                shift=(out_exp - v_exp).astype(np.int32),
                fmt=fmt,
                out_bits=out_bits,
            ),
            one_exponent(out_exp),
        )

    def _relative_bias(
        self, shift: Array, windows: Windows | None
    ) -> tuple[Array | None, Array | None]:
        """Relative position bias of every head and its alignment; none without windows."""
        if windows is None:
            return None, None
        heads = len(shift)
        bias_shift = np.maximum(shift - self.rng.integers(0, 3, heads), 0).astype(np.int32)
        entries = (2 * windows.window[0] - 1) * (2 * windows.window[1] - 1)
        table = self.rng.normal(0, 60, (entries, heads))
        return np.clip(np.rint(windows.bias(table)), -128, 127).astype(np.int8), bias_shift

    def mlp(self, prefix: str, source: str, hidden: int, bits: int, out_bits: int = 8) -> str:
        """fc1, GELU table and fc2 up to its accumulator."""
        fc1 = self.linear(f"{prefix}.fc1", source, hidden, bits, wire=True)
        in_exp = int(self.exponent(fc1)[0])
        octaves = coarser(out_bits)
        out_exp, zero = in_exp - 1 + octaves, GELU_ZERO >> octaves
        table = Gelu(in_exp=in_exp, out_exp=out_exp, zero=zero, bits=out_bits).table()
        gelu = self.add(
            ir.Gelu(
                name=f"{prefix}.gelu",
                inputs=(fc1,),
                output=f"{prefix}.gelu",
                table=table,
                zero=zero,
                out_bits=out_bits,
            ),
            one_exponent(out_exp),
        )
        return self.linear(
            f"{prefix}.fc2",
            gelu,
            self.values[source][0].shape[-1],
            bits,
            output=f"{prefix}.fc2.acc",
            wire=True,
        )
