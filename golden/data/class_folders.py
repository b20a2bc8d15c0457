"""Data sets of one folder per class, as ImageNet tools make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from golden.catalogue.models import ModelSpec
from golden.data.labels import label_folders, same_language
from golden.data.listing import Skipped, entries, pictures_below
from golden.data.pictures import Sample, file_sample
from golden.support.errors import PotvitError

#: Names of the two splits; the first of each is the one that messages speak of.
TRAIN, VAL = ("train", "training"), ("val", "valid", "validation", "eval", "evaluation")


@dataclass(frozen=True, kw_only=True)
class ClassFolders:
    """Pictures of both splits, how they were labelled, and what was left out, in words."""

    train: list[Sample]
    val: list[Sample]
    rule: str
    skipped: tuple[str, ...]


def has_splits(folder: Path) -> bool:
    """Whether ``folder`` has a split folder of a known name."""
    return bool(_named(folder, (*TRAIN, *VAL)))


def _named(folder: Path, names: Sequence[str]) -> list[str]:
    """Sub-folders of ``folder`` that are called one of ``names``, in any mixture of cases."""
    return sorted(p.name for p in folder.iterdir() if p.name.lower() in names and p.is_dir())


def read_class_folders(folder: Path, spec: ModelSpec) -> ClassFolders:
    """Read ``train/`` and ``val/`` (or their synonyms); both share one labelling.

    Pictures in sub-folders of a class folder are of its class. Pictures that lie directly in
    ``train/`` are unlabelled where it has no class folders, and left out where it has; those that
    lie in ``val/`` are left out. Folders whose names tell no label give pictures to calibrate on
    and none to evaluate with.

    Raises:
        PotvitError: there are no pictures, two folders of one split, or folders that cannot be
            labelled (see ``golden.data.labels``).
    """
    where, skipped = f"DATA {folder}", Skipped()
    train, loose = _read_split(folder, TRAIN, skipped)
    val, strays = _read_split(folder, VAL, skipped)
    full = {name for name, paths in (*train.items(), *val.items()) if paths}
    empty = {*train, *val} - full
    skipped.empty_folders += sorted(empty)
    unlabelled = [] if any(train.values()) else loose
    strays += loose if not unlabelled else []
    skipped.loose += [str(path.relative_to(folder)) for path in strays]
    if not full and not unlabelled:
        raise PotvitError(f"{where} has no pictures in train/<class>/ or val/<class>/")
    labels: Mapping[str, int] = {}
    rule = "none: there are no class folders"
    if full:
        labelling = label_folders(sorted(full), sorted(empty), spec, where)
        labels, rule = labelling.labels, labelling.rule
    return ClassFolders(
        train=[*_samples(folder, train, labels), *(file_sample(p, folder) for p in unlabelled)],
        val=_samples(folder, val, labels) if labels else [],
        rule=rule,
        skipped=skipped.notes(),
    )


def _read_split(
    folder: Path, names: Sequence[str], skipped: Skipped
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Pictures by class folder, and those outside of class folders."""
    present = _named(folder, names)
    if not present:
        return {}, []
    if len(present) > 1:
        raise PotvitError(f"DATA {folder} has both {present[0]}/ and {present[1]}/: keep one")
    folders, loose = entries(folder / present[0], folder, skipped)
    return {path.name: list(pictures_below(path, folder, skipped)) for path in folders}, loose


def _samples(
    folder: Path, classes: Mapping[str, Sequence[Path]], labels: Mapping[str, int]
) -> list[Sample]:
    found, depth = [], len(folder.parts) + 2
    for name, paths in sorted(classes.items()):
        for path in paths:
            for below in path.parts[depth:-1]:
                if same_language(name, below):
                    raise PotvitError(
                        f"DATA {folder}: is {path.relative_to(folder)} of class {name} or {below}? "
                        "Move class folders out of one another"
                    )
            found.append(file_sample(path, folder, labels.get(name, -1)))
    return found
