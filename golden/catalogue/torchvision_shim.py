"""Make ``import timm`` work where torchvision's compiled extension does not load.

timm imports torchvision. A torchvision wheel built for another flavour of torch (CUDA wheel,
CPU-only torch) skips its extension without a word and then fails in its own Python code, which
describes the shapes of two operators that nobody declared: "operator torchvision::nms does
not exist". Declaring those two schemas is enough. The operators stay without an
implementation; nothing here detects objects.
"""

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

#: Keeps the declarations alive: they vanish with the object.
_library: torch.library.Library | None = None


def ensure_torchvision() -> None:
    """Import torchvision, declaring its missing operators only when that import fails for them.

    Raises:
        RuntimeError: torchvision fails for any other reason (passed on unchanged).
        ImportError: torchvision is not installed.
    """
    global _library
    try:
        import torchvision
    except RuntimeError as error:
        if _library is not None or "operator torchvision::" not in str(error):
            raise
        _library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            _library.define(schema)
        import torchvision  # noqa: F401
