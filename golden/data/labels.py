"""Which class a folder of pictures stands for.

A folder's name is a label number, a WordNet identifier (``n01440764``, also with a name behind it),
or the name of a class, and all folders of a data set speak the same language. Only where they
speak none of these, and there is exactly one folder per class, does their sorted order count; other
folders have no labels. What contradicts itself is refused: a wrong order gives wrong labels in
silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from golden.catalogue.class_names import class_names, wordnet_identifiers
from golden.catalogue.models import ModelSpec
from golden.data.listing import some
from golden.support.errors import PotvitError

_NUMBER = re.compile(r"[0-9]+")
_SYNSET = re.compile(r"(n[0-9]{8})(?:[-_. ].*)?")


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """Label of each class folder by name (of all or of none), and in words the rule or reason."""

    labels: Mapping[str, int]
    rule: str


def label_folders(
    names: Sequence[str], empty: Sequence[str], spec: ModelSpec, where: str
) -> Labelling:
    """Label the class folders ``names``; ``empty`` are others in which there are no pictures.

    Raises:
        PotvitError: a name that is unknown, out of range, twice there, or of another kind than the
            others; starts with ``where``.
    """
    names = sorted(names)
    identifiers = wordnet_identifiers(spec)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_kind(name, bool(identifiers)), []).append(name)
    if len(groups) > 1:
        few, many = sorted(groups, key=lambda kind: len(groups[kind]))[:: len(groups) - 1]
        raise PotvitError(
            f"{where}: class folders are {many} ({some(groups[many])}) but also {few} "
            f"({some(groups[few])}): rename or remove them"
        )
    if _NUMBERS in groups:
        return _by_number(names, spec, where)
    if _IDENTIFIERS in groups:
        return _by_identifier(names, identifiers, spec, where)
    return _by_name(names, sorted(empty), spec, where)


_NUMBERS, _IDENTIFIERS, _NAMES = "numbers", "WordNet identifiers", "other names"


def _kind(name: str, wordnet: bool) -> str:
    if _NUMBER.fullmatch(name):
        return _NUMBERS
    return _IDENTIFIERS if wordnet and _SYNSET.fullmatch(name) else _NAMES


def same_language(one: str, other: str) -> bool:
    """Whether both names are label numbers, or both WordNet identifiers."""
    return any(form.fullmatch(one) and form.fullmatch(other) for form in (_NUMBER, _SYNSET))


def _by_number(names: Sequence[str], spec: ModelSpec, where: str) -> Labelling:
    last = spec.num_classes - 1
    beyond = [name for name in names if int(name) > last]
    if beyond:
        numbers = sorted({int(name) for name in names if name not in beyond})
        hint = "" if not numbers or numbers[0] == 0 else " (labels count from 0)"
        raise PotvitError(f"{where}: folder {beyond[0]}: label is outside 0..{last}{hint}")
    labels = _unique(names, int, where)
    rule = f"folder names are label numbers, {_share(labels, spec)}"
    if min(labels.values()) > 0:
        rule += f", the first is {min(labels.values())} (labels count from 0)"
    return Labelling(labels=labels, rule=rule)


def _by_identifier(
    names: Sequence[str], identifiers: Mapping[str, int], spec: ModelSpec, where: str
) -> Labelling:
    unknown = [name for name in names if name[:9] not in identifiers]
    if unknown:
        raise PotvitError(
            f"{where}: {some(unknown)} is no class of {spec.name} (WordNet identifiers of "
            "ImageNet-1k): remove the folder"
        )
    labels = _unique(names, lambda name: identifiers[name[:9]], where)
    return Labelling(labels=labels, rule=f"WordNet identifiers, {_share(labels, spec)}")


def _by_name(names: Sequence[str], empty: Sequence[str], spec: ModelSpec, where: str) -> Labelling:
    """Labels by class name or order; none, with the reason, where the names do not tell."""
    known = _known_names(spec)
    strange = [name for name in names if _plain(name) not in known]
    if not strange:
        labels = _unique(names, lambda name: known[_plain(name)], where)
        return Labelling(labels=labels, rule=f"class names, {_share(labels, spec)}")
    if len(strange) < len(names):
        told = [name for name in names if name not in strange]
        raise PotvitError(
            f"{where}: class folders are class names ({some(told)}) but also {some(strange)}, "
            f"which is no class of {spec.name}: rename or remove it"
        )
    # An empty folder is ignored, unless it takes exactly these to give every class its place.
    ordered = sorted([*names, *empty])
    if len(ordered) != spec.num_classes:
        ordered = list(names)
    if len(ordered) != spec.num_classes:
        other = " or WordNet identifier" if wordnet_identifiers(spec) else ""
        return Labelling(
            labels={},
            rule=f"none: {some(strange)} is no class of {spec.name}, and {spec.num_classes} "
            f"classes cannot be told from {len(names)} folder{'s' * (len(names) > 1)}: name each "
            f"by its label number{other}",
        )
    if (early := _before_its_number(ordered)) is not None:
        return Labelling(
            labels={},
            rule=f"none: sorted as text, folder {early} comes before a smaller number: name each "
            "by its label number",
        )
    rule = f"sorted folder names, {ordered[0]} = 0 to {ordered[-1]} = {len(ordered) - 1}"
    return Labelling(labels={name: label for label, name in enumerate(ordered)}, rule=rule)


def _unique(names: Sequence[str], label: Callable[[str], int], where: str) -> dict[str, int]:
    first: dict[int, str] = {}
    for name in names:
        other = first.setdefault(label(name), name)
        if other != name:
            raise PotvitError(f"{where}: folders {other} and {name} are both class {label(name)}")
    return {name: label(name) for name in names}


def _share(labels: Mapping[str, int], spec: ModelSpec) -> str:
    return f"{len(labels)} of {spec.num_classes} classes"


def _known_names(spec: ModelSpec) -> dict[str, int]:
    """Labels by class name, whole or up to the first comma, where only one class has it."""
    found: dict[str, set[int]] = {}
    for label, name in enumerate(class_names(spec)):
        for form in (name, name.split(",")[0]):
            found.setdefault(_plain(form), set()).add(label)
    return {name: labels.pop() for name, labels in found.items() if len(labels) == 1}


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _before_its_number(ordered: Sequence[str]) -> str | None:
    """The first name that text order puts before a smaller number (``a1_b10``, ``a1_b2``)."""
    parts = [re.split(r"([0-9]+)", name) for name in ordered]
    for name, (one, other) in zip(ordered, pairwise(parts), strict=False):
        first, second = next((p for p in zip(one, other, strict=False) if p[0] != p[1]), ("", ""))
        if _NUMBER.fullmatch(first) and _NUMBER.fullmatch(second) and int(first) > int(second):
            return name
    return None
