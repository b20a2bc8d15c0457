"""Tensors of a quantized network as bytes of each memory, for the benches of LOAD and STORE."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from golden.execute.batched import Executor
from golden.graph import ir
from hw.compiler.frontend.modes import mode_of
from hw.compiler.image.layout import constant_rows, norm_words, weight_chunks
from hw.config import Config

Tensors = dict[str, list[bytes]]


def chosen_blocks(graph: ir.Graph) -> tuple[str, ...]:
    """Name prefixes of the first, a middle and the last block."""
    blocks = sorted({int(n.name.split(".")[1]) for n in graph.nodes if n.name.startswith("blocks")})
    return tuple(f"blocks.{b}." for b in (blocks[0], blocks[len(blocks) // 2], blocks[-1]))


def loaded(graph: ir.Graph, pixels: npt.NDArray[np.uint8], config: Config) -> Tensors:
    """What a program loads: pixels, weight tiles, LayerNorm parameters, GELU tables, constants.

    ``tokens`` are tensors that it loads where they have no room on chip.
    """
    chosen = chosen_blocks(graph)
    half = len(pixels) // 2
    found: Tensors = {"patch": [pixels[:half].tobytes(), pixels[half:].tobytes()]}
    found |= {name: [] for name in ("stream", "norm", "gelu", "const", "tokens")}
    trace = Executor(graph).trace(pixels[np.newaxis])
    for node in graph.nodes:
        match node:
            case ir.Residual() if node.constant is not None:
                rows = constant_rows(node.constant, config, 0, 0, len(node.constant))
                found["const"].append(rows)
            case ir.Linear() if node.name.startswith(chosen):
                chunks = weight_chunks(node.weight, config, mode_of(node, graph))
                found["stream"].append(chunks.tobytes())
            case ir.LayerNorm() if node.name.startswith(chosen) or node.name == "norm":
                found["norm"].append(norm_words(node, config))
            case ir.Gelu() if node.name.startswith(chosen):
                found["gelu"].append(node.table.tobytes())
            case ir.Residual() if node.name.startswith(chosen):
                found["tokens"].append(trace[node.output][0].tobytes())
            case _:
                pass
    return found


def stored(graph: ir.Graph, pixels: npt.NDArray[np.uint8]) -> Tensors:
    """What a program stores: activations, keys, values, logits, codes, residuals, outputs."""
    chosen = chosen_blocks(graph)
    tensors = {n: t[0] for n, t in Executor(graph).trace(pixels[np.newaxis]).items()}
    found: Tensors = {name: [] for name in ("act", "stream", "value", "logit", "residual")}
    for node in graph.nodes:
        if not node.name.startswith(chosen):
            continue
        match node:
            case ir.Scores():
                keys, values = (tensors[node.output.replace("scores", x)] for x in "kv")
                for name, wide in (("stream", keys), ("value", values)):
                    heads = np.split(wide, node.heads, axis=1)
                    found[name] += [np.ascontiguousarray(h).tobytes() for h in heads]
                found["logit"] += [head.tobytes() for head in tensors[node.output]]
            case ir.Softmax():
                found["logit"] += [head.tobytes() for head in tensors[node.output]]
            case ir.Residual():
                found["residual"].append(tensors[node.output].tobytes())
            case ir.LayerNorm() | ir.AttnValue() | ir.Gelu():
                found["act"].append(tensors[node.output].tobytes())
            case _:
                pass
    logits = np.ascontiguousarray(tensors[graph.output], np.int32)
    return found | {"out": [logits.astype("<i4").tobytes()]}
