"""Sizes of a network in words of the memories of a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from golden.support.errors import PotvitError
from hw.compiler.frontend.modes import mode_of
from hw.compiler.frontend.network import Network
from hw.config import Config
from hw.formats.memories import Space, memories
from hw.lib.numbers import ceil_div, round_up


class NoRoomError(PotvitError):
    """A buffer is too small, by ``lacks`` bytes."""

    def __init__(self, space: Space, words: int, config: Config, blocks: str = "") -> None:
        memory = memories(config)[space]
        self.lacks = (words - memory.words) * memory.bytes_
        super().__init__(
            f"buffer {space.name} of configuration {config.name!r} lacks {self.lacks} bytes "
            f"({words} words of {memory.bytes_} bytes needed{blocks}, {memory.words} there): "
            f"raise {space.name.lower()}_words or take a smaller model"
        )


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Words, of the largest block where blocks differ.

    Of ACT, for a row group: LayerNorm outputs ``x``, queries of a head ``q``, results of all heads
    ``attn`` and of one pass over the values ``piece``, ``hidden`` layer, ``patches``; ``behind``:
    what the array may read behind one (a chunk of 4x4 products takes two words). Of RESIDUAL for a
    token: ``residual``. Of STREAM: ``key_stride`` for each of ``key_tiles`` tiles of keys, ``tile``
    for the largest weight tile. Of VALUE, for all keys: ``value``. Of NORM: ``norm``.
    """

    tokens: int
    groups: int
    x: int
    q: int
    attn: int
    piece: int
    hidden: int
    patches: int
    behind: int
    residual: int
    key_tiles: int
    key_stride: int
    tile: int
    value: int
    norm: int


def sizes(network: Network, config: Config) -> Sizes:
    """The sizes of ``network`` on ``config``."""
    width, tokens = config.act_bytes, network.tokens
    dims = head_dims(network, config)
    padded = round_up(network.channels, width)
    attn = max((heads * dim // width for heads, dim in dims), default=0)
    hidden = max((ceil_div(b.fc1.weight.shape[0], width) for b in network.blocks), default=0)
    narrow = any(tensor.bits == 4 for tensor in network.graph.tensors.values())
    return Sizes(
        tokens=tokens,
        groups=ceil_div(tokens, config.rows),
        x=padded // width,
        q=max((dim // width for _, dim in dims), default=0),
        attn=attn,
        piece=max((min(dim, config.head_lanes) // width for _, dim in dims), default=0),
        hidden=hidden,
        patches=patch_inputs(network, config) // width,
        behind=int(narrow and any(words % 2 for words in (padded // width, attn, hidden))),
        residual=padded // config.cols,
        key_tiles=ceil_div(tokens, config.cols),
        key_stride=max((dim // config.lanes for _, dim in dims), default=0),
        tile=largest_tile(network, config),
        value=round_up(tokens, config.keys_per_cycle),
        norm=padded // config.lanes,
    )


def head_dims(network: Network, config: Config) -> list[tuple[int, int]]:
    """Heads and padded head dimension of every block."""
    dims = []
    for block in network.blocks:
        heads = block.scores.heads
        dim = block.q.weight.shape[0] // heads
        dims.append((heads, round_up(dim, config.act_bytes)))
    return dims


def patch_inputs(network: Network, config: Config) -> int:
    """Inputs of the patch embedding, each row of a patch padded to whole words of ACT."""
    patch = network.patch.patch
    return patch * round_up(network.patch.weight.shape[1] // patch, config.act_bytes)


def largest_tile(network: Network, config: Config) -> int:
    """Stream words of the largest weight tile."""
    graph = network.graph
    linears = [(patch_inputs(network, config), mode_of(network.patch, graph))]
    if network.head:
        linears.append((network.head.weight.shape[1], mode_of(network.head, graph)))
    for (heads, padded), block in zip(head_dims(network, config), network.blocks, strict=True):
        linears.append((heads * padded, mode_of(block.proj, graph)))
        for node in (block.q, block.k, block.v, block.fc1, block.fc2):
            linears.append((node.weight.shape[1], mode_of(node, graph)))
    beats = max(1, config.axi_bytes // config.stream_bytes)
    words = [
        config.param_words + mode.weight_bytes * ceil_div(inputs, config.lanes * mode.products)
        for inputs, mode in linears
    ]
    return round_up(max(words), beats)
