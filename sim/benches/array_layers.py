"""Cases of the ARRAY bench from a network: real weights, tensors and shifts of its layers.

Each case runs a few tokens and the first output tiles of one layer. Its result by `MatmulModel`
is compared here with the executor's tensor, so the bench ends up comparing hardware with it.
"""

from __future__ import annotations

import copy

import numpy as np

from golden.execute.batched import Executor
from golden.execute.reference import patches
from golden.graph import ir
from hw.config import Config
from hw.isa.instruction import Mem
from sim.benches.array_model import Array, Case, Channels, Fields, MatmulModel, Memories
from sim.benches.array_programs import NAMES
from sim.benches.network_tensors import chosen_blocks

TILES = 2


class Layer:
    """One layer cut to what fits: operands in place, one instruction, what must come out."""

    def __init__(
        self, name: str, config: Config, dest: Mem, x: Array, w: Array, bits: int, x_bits: int = 8
    ) -> None:
        """``x`` int8 [T, K] of ``x_bits``, ``w`` [C, K]; ``C`` at most ``TILES`` tiles."""
        self.name, self.config = name, config
        self.count, self.width = len(x), len(w)
        self.memories = Memories(config=config)
        self.constants = np.zeros((0, config.cols), np.int16)
        w4, x4 = bits == 4, x_bits == 4
        step = config.lanes * (4 if x4 else 2 if w4 else 1)
        chunks = -(-x.shape[1] // step)
        groups = -(-len(x) // config.rows)
        tiles = -(-len(w) // config.cols)
        words = -(-chunks * step // config.act_bytes)
        parts = 2 * chunks if x4 else chunks  # words of weights
        pitch = parts + config.param_words
        self.fields: Fields = dict.fromkeys(NAMES, 0) | {
            "dest": int(dest), "chunks": chunks, "groups": groups, "tiles": tiles,
            "rows_last": len(x) - (groups - 1) * config.rows,
            "cols_last": len(w) - (tiles - 1) * config.cols,
            "k_last": (x.shape[1] - (chunks - 1) * step) % 64,
            "w4": int(w4), "x4": int(x4), "a_stride": words, "w_stride": pitch, "p_addr": 3,
            "w_addr": 3 + config.param_words,
        }  # fmt: skip
        acts = np.zeros((groups * config.rows, words * config.act_bytes), np.int8)
        acts[: len(x), : x.shape[1]] = x
        acts = acts.reshape(groups, config.rows, words, config.act_bytes)
        self.memories.act[: groups * words] = (
            acts.transpose(0, 2, 1, 3).reshape(-1, config.rows, config.act_bytes).view(np.uint8)
        )
        self.free_act = groups * words
        padded = np.zeros((tiles * config.cols, chunks * step), np.int64)
        padded[: len(w), : w.shape[1]] = w
        if w4:
            split = padded.reshape(tiles, config.cols, parts, 2, config.lanes) & 15
            packed = split[:, :, :, 0] | split[:, :, :, 1] << 4
        else:
            packed = padded.reshape(tiles, config.cols, chunks, config.lanes) & 255
        for j in range(tiles):
            at = self.fields["w_addr"] + j * pitch
            self.memories.stream[at : at + parts] = packed[j].transpose(1, 0, 2)

    def parameters(self, **channels: Array | int) -> None:
        """Parameters per channel [C] (or one for all); those not given are zero."""
        tiles, cols = self.fields["tiles"], self.config.cols
        full = {}
        for name in ("bias", "shift", "la", "lo", "alpha"):
            full[name] = np.zeros(tiles * cols, np.int64)
            value = np.asarray(channels.get(name, 0))
            full[name][: self.width] = value[: self.width] if value.ndim else value
        for j in range(tiles):
            at = self.fields["p_addr"] + j * self.fields["w_stride"]
            part = {k: v[j * cols : (j + 1) * cols] for k, v in full.items()}
            words = Channels(**part).pack(self.config)
            self.memories.stream[at : at + len(words)] = words

    def case(self, want: Array) -> Case:
        """The case, after its model gave ``want`` [T, C] at the destination."""
        model = MatmulModel(copy.deepcopy(self.memories), self.constants)
        model.run(self.fields)
        got = self.result(model.mem)
        assert np.array_equal(got, want[: self.count, : self.width]), f"{self.name}: model differs"
        return Case(
            name=self.name, memories=self.memories, instrs=[self.fields],
            constants=self.constants, instr_pause=0.0, const_pause=0.3,
        )  # fmt: skip

    def result(self, mem: Memories) -> Array:
        """What the instruction wrote, [T, C]."""
        f, c = self.fields, self.config
        t, j = np.arange(self.count)[:, None], np.arange(f["tiles"])[None]
        group, row = t // c.rows, t % c.rows
        match Mem(f["dest"]):
            case Mem.ACT:
                granules = mem.act.reshape(c.act_words, c.rows, c.tile_act_granules, c.cols)
                word, part = np.divmod(
                    f["d_addr"] + group * f["d_stride"] + j * f["d_step"], c.tile_act_granules
                )
                out = granules[word, row, part]
            case Mem.STREAM:
                at = f["d_addr"] + t // c.cols * f["d_stride"] + j * f["d_step"]
                at = at[..., None] + np.arange(c.cols // c.lanes)
                out = mem.stream[at, (t % c.cols)[..., None]]
            case Mem.VALUE:
                parts = mem.value.reshape(c.value_words, -1, c.cols)
                out = parts[f["d_addr"] + t, f["sub"] + j]
            case Mem.LOGIT:
                out = mem.logit[f["d_addr"] + group * f["d_stride"] + j * f["d_step"], row]
            case Mem.RESIDUAL:
                out = mem.residual[f["d_addr"] + t * f["d_stride"] + j * f["d_step"]]
            case _:
                return mem.out[f["d_addr"] + j[0]].reshape(1, -1)[:, : self.width]
        return out.reshape(self.count, -1)[:, : self.width].view(np.int8)


def layer_cases(graph: ir.Graph, pixels: Array, config: Config) -> list[Case]:
    """Every kind of layer: patch embedding, the first, a middle and the last block, head."""
    chosen = chosen_blocks(graph)
    nodes = [n for n in graph.nodes if n.name.startswith(chosen) or "." not in n.name]
    trace = Executor(graph).trace(pixels[np.newaxis])
    trace = {name: value[0] for name, value in trace.items()}
    tokens, width = 2 * config.rows + 1, TILES * config.cols
    alphas = {n.inputs[0]: n.alpha for n in graph.nodes if isinstance(n, ir.LayerNorm)}
    cases = []
    for node in nodes:
        match node:
            case ir.Linear() if node.shift is not None:
                cases.append(_linear(graph, node, trace, config, tokens, width))
            case ir.Residual():
                cases.append(_residual(graph, node, trace, pixels, config, tokens, width, alphas))
            case ir.Scores():
                for head in {0, node.heads - 1}:
                    cases.append(_scores(node, head, trace, config, tokens, width))
            case ir.Head():
                x = trace[node.inputs[0]][:1]
                layer = Layer(node.name, config, Mem.OUT, x, node.weight[:width], 8)
                layer.fields["d_addr"] = 1
                layer.parameters(bias=node.bias, la=node.la)
                cases.append(layer.case(trace[node.output]))
            case _:
                pass
    return cases


def _linear(
    graph: ir.Graph, node: ir.Linear, trace: dict[str, Array], config: Config, tokens: int,
    width: int,
) -> Case:  # fmt: skip
    """Q to activations, K to keys, V to values, fc1 through GELU."""
    assert node.shift is not None
    kind = node.name.rsplit(".", 1)[-1]
    dest = {"k": Mem.STREAM, "v": Mem.VALUE}.get(kind, Mem.ACT)
    x = trace[node.inputs[0]][:tokens]
    layer = Layer(node.name, config, dest, x, node.weight[:width], node.bits, _bits(graph, node))
    layer.parameters(bias=node.bias, shift=node.shift)
    f = layer.fields
    want = node.output
    if dest is Mem.ACT:
        f["d_addr"], f["d_step"] = (layer.free_act + 1) * config.tile_act_granules, 1
        f["d_stride"] = TILES
        for user in graph.nodes:
            if isinstance(user, ir.Gelu) and user.inputs == (node.output,):
                layer.memories.gelu, f["gelu"], want = user.table, 1, user.output
    elif dest is Mem.STREAM:
        words = config.cols // config.lanes
        f["d_addr"], f["d_step"] = config.stream_words // 2, words
        f["d_stride"] = TILES * words
    else:
        f["d_addr"] = 5
    return layer.case(trace[want])


def _scores(
    node: ir.Scores, head: int, trace: dict[str, Array], config: Config, tokens: int, width: int
) -> Case:
    """One head: queries times keys, with the maxima of each row."""
    q, k = (trace[name] for name in node.inputs)
    depth = q.shape[1] // node.heads
    part = slice(head * depth, (head + 1) * depth)
    layer = Layer(
        f"{node.name}[{head}]", config, Mem.LOGIT, q[:tokens, part], k[: width - 1, part], 8
    )
    layer.parameters(shift=int(node.shift[head]))
    layer.fields |= {
        "group_outer": 1, "shared_params": 1, "d_stride": TILES, "d_step": 1, "d_addr": 2,
        "slot": 4,
    }  # fmt: skip
    return layer.case(trace[node.output][head])


def _bits(graph: ir.Graph, node: ir.Linear) -> int:
    """Bits of what a layer reads."""
    return graph.tensors[node.inputs[0]].bits


def _residual(
    graph: ir.Graph, node: ir.Residual, trace: dict[str, Array], pixels: Array, config: Config,
    tokens: int, width: int, alphas: dict[str, Array],
) -> Case:  # fmt: skip
    """A projection with the residual adder behind it, or the patch embedding with constants."""
    product = next(maker for maker in graph.nodes if maker.output == node.inputs[0])
    tiles = width // config.cols
    if isinstance(product, ir.PatchEmbed):
        x = patches(pixels, product.patch)[: tokens - 1]
        x = np.concatenate([x[:1], x]).astype(np.int8)  # row 0 is forced to zero
        layer = Layer(node.name, config, Mem.RESIDUAL, x, product.weight[:width], product.bits)
        bias: Array | int = 0
        assert node.constant is not None
        rows = node.constant[:tokens, :width].reshape(len(x), tiles, config.cols)
        layer.constants = rows.transpose(1, 0, 2).reshape(-1, config.cols).astype(np.int16)
        layer.fields |= {"const_old": 1, "zero_first": 1}
    else:
        assert isinstance(product, ir.Linear)
        x = trace[product.inputs[0]][:tokens]
        weight, bits = product.weight[:width], (product.bits, _bits(graph, product))
        layer = Layer(node.name, config, Mem.RESIDUAL, x, weight, *bits)
        bias = product.bias
        old = trace[node.inputs[1]][:tokens, :width].reshape(-1, config.cols)
        layer.memories.residual[7 : 7 + len(old)] = old.view(np.uint8)
    layer.fields |= {"d_addr": 7, "d_stride": tiles, "d_step": 1, "stats_init": 1, "token": 3}
    layer.parameters(
        bias=bias, la=node.la, lo=node.lo, shift=node.shift, alpha=alphas.get(node.output, 0)
    )
    return layer.case(trace[node.output])
