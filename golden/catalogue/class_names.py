"""What the classes of a model are called: names for people, WordNet identifiers for folders."""

from golden.catalogue.models import ModelSpec
from golden.catalogue.torchvision_shim import ensure_torchvision

_IMAGENET_CLASSES = 1000


def class_names(spec: ModelSpec) -> list[str]:
    """A short name for every class, in label order."""
    if not _imagenet(spec):
        return [str(label) for label in range(spec.num_classes)]
    ensure_torchvision()
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return [info.index_to_description(label) for label in range(spec.num_classes)]


def wordnet_identifiers(spec: ModelSpec) -> dict[str, int]:
    """Label by WordNet identifier (``n01440764``); none where classes are not ImageNet-1k's."""
    if not _imagenet(spec):
        return {}
    ensure_torchvision()
    from timm.data import ImageNetInfo

    return {name: label for label, name in enumerate(ImageNetInfo().label_names())}


def _imagenet(spec: ModelSpec) -> bool:
    return spec.timm_name is not None and spec.num_classes == _IMAGENET_CLASSES
