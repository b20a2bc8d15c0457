"""What the classes of a model are called: names for people, WordNet identifiers for folders."""

import re

from golden.catalogue.models import ModelSpec
from golden.catalogue.torchvision_shim import ensure_torchvision

_IMAGENET_CLASSES = 1000
_IDENTIFIER = re.compile(r"n[0-9]{8}")


def class_names(spec: ModelSpec) -> list[str]:
    """A short name for every class, in label order.

    The model's own, else ImageNet's (or that of the larger ImageNet of as many classes), else
    the numbers.
    """
    if spec.labels is not None:
        return list(spec.labels)
    if spec.timm_name is None:
        return [str(label) for label in range(spec.num_classes)]
    ensure_torchvision()
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": spec.num_classes})
    if subset is None:
        return [str(label) for label in range(spec.num_classes)]
    info = ImageNetInfo(subset)
    return [info.index_to_description(label) for label in range(spec.num_classes)]


def wordnet_identifiers(spec: ModelSpec) -> dict[str, int]:
    """Label by WordNet identifier (``n01440764``).

    Those among the model's own class names, or ImageNet-1k's; none where classes are others.
    """
    if spec.labels is not None:
        return {n: label for label, n in enumerate(spec.labels) if _IDENTIFIER.fullmatch(n)}
    if not _imagenet(spec):
        return {}
    ensure_torchvision()
    from timm.data import ImageNetInfo

    return {name: label for label, name in enumerate(ImageNetInfo().label_names())}


def _imagenet(spec: ModelSpec) -> bool:
    return spec.timm_name is not None and spec.num_classes == _IMAGENET_CLASSES
