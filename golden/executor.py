"""The batched exact executor: the integer graph at float speed, the same bits everywhere.

Products run in exact carriers (`golden.exec_gemm`), everything else on integers or on floats that
provably carry them. No result depends on the order of a sum, so batch size, thread count and
device cannot change a bit; `golden.reference` is the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden import ir
from golden.errors import PotvitError
from golden.exec_attention import AttnValue, Codes, Scores
from golden.exec_gemm import ACC_BITS, Carrier, Gemm, require_bits
from golden.exec_layernorm import LayerNorm
from golden.exec_narrow import Requantize, ResidualAdd

Array = npt.NDArray[Any]
Step = Callable[..., torch.Tensor]
#: Images that run together: their tensors stay in a core's cache.
CHUNK = 8


class Executor:
    """Runs ``graph`` on uint8 images; every accumulator width is proven at construction.

    ``device`` is any torch device; ``carrier`` forces one GEMM carrier (tests). Raises
    ``PotvitError`` for a graph whose worst case would overflow the hardware, and for a device
    that does not exist.
    """

    def __init__(
        self,
        graph: ir.Graph,
        device: str = "cpu",
        *,
        carrier: Carrier | None = None,
        chunk: int = CHUNK,
    ) -> None:
        self.graph = graph
        try:
            self.device = torch.device(device)
            torch.empty(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise PotvitError(f"device {device!r} cannot be used ({reason})") from None
        self._carrier = carrier
        self._chunk = chunk
        self._bounds: dict[str, npt.NDArray[np.int64]] = {}
        self._steps = [self._prepare(node) for node in graph.nodes]
        last: dict[str, int] = {}
        for index, node in enumerate(graph.nodes):
            last |= dict.fromkeys(node.inputs, index)
        self._dead = [
            [name for name, at in last.items() if at == index] for index in range(len(graph.nodes))
        ]

    def run(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """Return logits int32 [B, classes] of images uint8 [B, height, width, channels]."""
        logits = self.trace(pixels, [self.graph.output])[self.graph.output]
        return logits.reshape(len(pixels), -1)

    def trace(
        self, pixels: npt.NDArray[np.uint8], keep: Iterable[str] | None = None
    ) -> dict[str, Array]:
        """Return the kept edges by name, [B, *shape] in their carrier types.

        ``keep`` defaults to every stored edge; wires may be named as well. Raises
        ``PotvitError`` for images of another shape or type and for unknown edges.
        """
        names = [t.name for t in self.graph.stored()] if keep is None else list(keep)
        made = {node.output for node in self.graph.nodes}
        for name in names:
            if name not in made:
                raise PotvitError(f"the graph makes no tensor {name!r}")
        shape = self.graph.tensors[self.graph.input].shape
        if pixels.dtype != np.uint8 or pixels.shape[1:] != shape or not len(pixels):
            raise PotvitError(
                f"images must be uint8 [B, {', '.join(map(str, shape))}], "
                f"got {pixels.dtype} {list(pixels.shape)}"
            )
        parts: dict[str, list[Array]] = {name: [] for name in names}
        for start in range(0, len(pixels), self._chunk):
            images = torch.tensor(pixels[start : start + self._chunk], device=self.device)
            for name, value in self._run_chunk(images, set(names)).items():
                parts[name].append(value)
        return {name: np.concatenate(values) for name, values in parts.items()}

    @torch.inference_mode()
    def _run_chunk(self, images: torch.Tensor, keep: set[str]) -> dict[str, Array]:
        kept: dict[str, Array] = {}
        values = {self.graph.input: images}
        for node, step, dead in zip(self.graph.nodes, self._steps, self._dead, strict=True):
            inputs = [values[name] for name in node.inputs]
            result = step(*inputs)
            if node.output in keep:
                kept[node.output] = result.cpu().numpy().copy()
            values[node.output] = result
            for name in dead:
                del values[name]
        return kept

    def _gemm(self, node: ir.PatchEmbed | ir.Linear | ir.Head, bias: Array | None) -> Gemm:
        gemm = Gemm(node.name, node.weight, bias, self.device, self._carrier)
        self._bounds[node.output] = gemm.bound
        return gemm

    def _prepare(self, node: ir.Node) -> Step:
        """Turn a node into a function of its input tensors."""
        source = self.graph.tensors[node.inputs[0]]
        match node:
            case ir.PatchEmbed():
                return _patch_embed(self._gemm(node, None), node.patch)
            case ir.Linear():
                return _linear(self._gemm(node, node.bias), node.shift, self.device)
            case ir.Scores():
                return Scores(node, source.shape[-1], self.device)
            case ir.Softmax():
                return Codes(node, source.shape[-1], self.device)
            case ir.AttnValue():
                softmax = self.graph.producer(node.inputs[0])
                if not isinstance(softmax, ir.Softmax) or softmax.fmt is not node.fmt:
                    raise PotvitError(f"{node.name}: its codes come in another format")
                return AttnValue(node, softmax.rule, source.shape[-1], self.device)
            case ir.Gelu():
                table = torch.tensor(node.table, dtype=torch.int8, device=self.device)
                return lambda x: _lookup(table, x)
            case ir.Residual():
                return self._residual(node, source.shape[-1])
            case ir.LayerNorm():
                return LayerNorm(node, self.device)
            case ir.Select():
                index = node.index
                return lambda x: x[:, index : index + 1]
            case ir.Head():
                return self._head(node)
        raise PotvitError(f"{node.name}: no executor for a {type(node).__name__} node")

    def _residual(self, node: ir.Residual, channels: int) -> Step:
        old_bound = np.full(channels, 128, np.int64)
        if node.constant is not None:
            old_bound = np.abs(node.constant.astype(np.int64)).max(0)
        bound = self._bounds[node.inputs[0]]
        add = ResidualAdd(node.name, bound, old_bound, node.la, node.lo, node.shift, self.device)
        if node.constant is None:
            return add
        constant = torch.tensor(node.constant, dtype=torch.int32, device=self.device)
        return lambda acc: add(acc, constant)

    def _head(self, node: ir.Head) -> Step:
        gemm = self._gemm(node, node.bias)
        la = node.la.astype(np.int64)
        require_bits(f"{node.name}: logits", int((gemm.bound << la).max()), ACC_BITS)
        align = torch.tensor(la, dtype=torch.int32, device=self.device)
        return lambda x: _rows(gemm, x).bitwise_left_shift_(align)


def _rows(gemm: Gemm, x: torch.Tensor) -> torch.Tensor:
    """A product over the last axis of [..., K]."""
    return gemm(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)


def _patch_embed(gemm: Gemm, patch: int) -> Step:
    def step(images: torch.Tensor) -> torch.Tensor:
        b, height, width, c = images.shape
        # uint8 p and int8 p - 128 differ in the top bit only.
        centred = images.bitwise_xor(128).view(torch.int8)
        grid = centred.view(b, height // patch, patch, width // patch, patch, c)
        acc = _rows(gemm, grid.transpose(2, 3).reshape(b, -1, patch * patch * c))
        return torch.nn.functional.pad(acc, (0, 0, 1, 0))

    return step


def _linear(gemm: Gemm, shift: Array | None, device: torch.device) -> Step:
    if shift is None:
        return lambda x: _rows(gemm, x)
    narrow = Requantize(gemm.bound, shift, device)
    return lambda x: narrow(_rows(gemm, x))


def _lookup(table: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    index = x.to(torch.int32).add_(128)
    return table.index_select(0, index.view(-1)).view(x.shape)
