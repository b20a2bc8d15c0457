"""A readable name for every class of a model."""

from golden.catalogue.models import ModelSpec
from golden.catalogue.torchvision_shim import ensure_torchvision


def class_names(spec: ModelSpec) -> list[str]:
    """A short name for every class, in label order."""
    if spec.timm_name is None:
        return [str(digit) for digit in range(spec.num_classes)]
    ensure_torchvision()
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return [info.index_to_description(label) for label in range(spec.num_classes)]
