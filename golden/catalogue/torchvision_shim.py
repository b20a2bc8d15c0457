"""Make ``import timm`` work where torchvision's compiled extension does not load.

timm imports torchvision. A torchvision wheel built for another flavour of torch (CUDA wheel,
CPU-only torch) skips its extension without a word and then fails in its own Python code, which
describes the shapes of two operators that nobody declared: "operator torchvision::nms does
not exist". Declaring those two schemas is enough. The operators stay without an
implementation; nothing here detects objects.

The set-up copies this file into the virtual environment and has every Python there call `install`
when it starts, so it uses the standard library alone and must cost nothing until torchvision is
imported.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

#: Keeps the declarations alive: they vanish with the object.
_libraries: list[Any] = []


class _Again(Loader):
    """A loader that declares the missing operators when its module fails for them, once."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Import torchvision, a second time if need be."""
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._own
        try:
            self._own.exec_module(module)
        except RuntimeError as error:
            if _libraries or "operator torchvision::" not in str(error):
                raise
            import torch

            _libraries.append(torch.library.Library("torchvision", "DEF"))
            for schema in _SCHEMAS:
                _libraries[0].define(schema)
            self._own.exec_module(module)


class TorchvisionFinder(MetaPathFinder):
    """Finds torchvision where it is and gives it the loader above."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for every other module."""
        spec = PathFinder.find_spec(fullname, path) if fullname == "torchvision" else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Again(spec.loader)
        return spec


_NAME = TorchvisionFinder.__qualname__


def install() -> None:
    """From now on ``import torchvision`` works; twice does no harm."""
    # By name: the environment's copy of this file has a class of its own.
    if not any(type(finder).__qualname__ == _NAME for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionFinder())


def ensure_torchvision() -> None:
    """Import torchvision, declaring its missing operators only where that import fails for them.

    Raises:
        RuntimeError: torchvision fails for any other reason (passed on unchanged).
        ImportError: torchvision is not installed.
    """
    install()
    import torchvision  # noqa: F401
