"""The batched exact executor: the integer graph at float speed, the same bits everywhere.

Where there is a C++ compiler, kernels made for this processor do most of it
(`golden.execute.kernel`). Without, and on other devices, products run in exact carriers
(`golden.execute.gemm`), everything else on integers or on floats that provably carry them. No
result depends on the order of a sum, so batch size, thread count and device cannot change a bit;
`golden.execute.reference` is the oracle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.execute.gemm import Carrier, require_exact_float32
from golden.execute.kernel.library import kernels
from golden.execute.stages import make_stages
from golden.execute.steps import StepBuilder
from golden.graph import ir
from golden.graph.check import check_graph
from golden.support.errors import PotvitError

Array = npt.NDArray[Any]
#: Elements of the largest tensor of the images that run together: they stay near the core.
CHUNK_ELEMENTS = 640_000


def usable_device(name: str) -> torch.device:
    """Return the torch device of that name after moving a number there and back.

    Raises:
        PotvitError: there is no such device, or this torch cannot compute on it.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise PotvitError(
            f"device {name!r} cannot be used ({reason}): give one that this torch has, such as cpu"
        ) from None
    return device


class Executor:
    """Runs ``graph`` on uint8 images; every accumulator width is proven at construction.

    ``device`` is any torch device; ``carrier`` forces one GEMM carrier, which leaves the compiled
    kernels out, and ``chunk`` the number of images that run together (tests). Raises
    ``PotvitError`` for a graph whose nodes do not fit each other or whose worst case would
    overflow the hardware, and for a device that does not exist or rounds its products.

    Attributes:
        compiled: whether compiled kernels do part of the work.
    """

    def __init__(
        self,
        graph: ir.Graph,
        device: str = "cpu",
        *,
        carrier: Carrier | None = None,
        chunk: int | None = None,
    ) -> None:
        check_graph(graph)
        self.graph = graph
        self.device = usable_device(device)
        require_exact_float32(self.device)
        largest = max(math.prod(tensor.shape) for tensor in graph.tensors.values())
        self._chunk = chunk or max(1, CHUNK_ELEMENTS // largest)
        library = kernels(self.device) if carrier is None else None
        self.compiled = library is not None
        self._stages = make_stages(graph, StepBuilder(self.device, carrier), library)
        last: dict[str, int] = {}
        for index, stage in enumerate(self._stages):
            last |= dict.fromkeys(stage.inputs, index)
        self._dead = [
            [name for name, at in last.items() if at == index] for index in range(len(self._stages))
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
        chunks = [pixels[i : i + self._chunk] for i in range(0, len(pixels), self._chunk)]
        parts = self._map(chunks, set(names))
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _map(self, chunks: list[npt.NDArray[np.uint8]], keep: set[str]) -> list[dict[str, Array]]:
        """Run the chunks, one thread each: that beats many threads meeting after every step."""
        threads = torch.get_num_threads()
        if self.device.type != "cpu" or min(threads, len(chunks)) == 1:
            return [self._run_chunk(chunk, keep) for chunk in chunks]
        try:
            with ThreadPoolExecutor(
                min(threads, len(chunks)), initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                return list(pool.map(lambda chunk: self._run_chunk(chunk, keep), chunks))
        finally:
            # A worker's setting becomes the process's default; this thread's is put back.
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def _run_chunk(self, pixels: npt.NDArray[np.uint8], keep: set[str]) -> dict[str, Array]:
        kept: dict[str, Array] = {}
        values = {self.graph.input: torch.tensor(pixels, device=self.device)}
        for stage, dead in zip(self._stages, self._dead, strict=True):
            made = stage.run(values, keep)
            kept |= {name: made[name].cpu().numpy().copy() for name in keep & made.keys()}
            values[stage.output] = made[stage.output]
            for name in dead:
                del values[name]
        return kept
