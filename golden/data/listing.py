"""The picture files below a folder, and what lies among them that is no picture.

File managers, cameras and archives leave files and folders of their own beside pictures; some
even look like pictures (``._a.jpg``, thumbnails in ``@eaDir``). They are skipped and counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from golden.data.pictures import SUFFIXES

#: Names in lower case; whatever starts with a dot is one as well.
_SIDECARS = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "@recycle", "#recycle",
    "#snapshot", "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip


def is_sidecar(name: str) -> bool:
    """Whether a file or folder of this name is the work of a file manager, hidden, or both."""
    return name.startswith(".") or name.lower() in _SIDECARS


@dataclass
class Skipped:
    """What a listing left out, as paths relative to the data set."""

    sidecars: list[str] = field(default_factory=list)
    hidden_folders: list[str] = field(default_factory=list)
    empty_folders: list[str] = field(default_factory=list)
    no_pictures: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """One phrase for each kind that there is, for people and reports."""
        kinds = (
            ("sidecar file", "sidecar files", self.sidecars),
            ("hidden or system folder", "hidden or system folders", self.hidden_folders),
            ("folder without pictures", "folders without pictures", self.empty_folders),
            ("file that is no picture", "files that are no pictures", self.no_pictures),
            ("picture outside the class folders", "pictures outside the class folders", self.loose),
        )
        return tuple(
            f"{len(names)} {one if len(names) == 1 else many} ({some(names)})"
            for one, many, names in kinds
            if names
        )


def some(names: Sequence[str], shown: int = 3) -> str:
    """The first names of a list, with dots where there are more."""
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")


def entries(folder: Path, root: Path, skipped: Skipped) -> tuple[list[Path], list[Path]]:
    """Sub-folders and picture files of ``folder`` in sorted order; the rest goes to ``skipped``.

    Links are followed. Names in ``skipped`` are relative to ``root``.
    """
    folders, pictures = [], []
    with os.scandir(folder) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            path = Path(entry.path)
            if entry.is_dir():
                if is_sidecar(entry.name):
                    skipped.hidden_folders.append(str(path.relative_to(root)))
                else:
                    folders.append(path)
            elif is_sidecar(entry.name):
                skipped.sidecars.append(str(path.relative_to(root)))
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and (
                entry.is_file() or entry.is_symlink()
            ):
                pictures.append(path)
            else:
                skipped.no_pictures.append(str(path.relative_to(root)))
    return folders, pictures


def pictures_below(folder: Path, root: Path, skipped: Skipped) -> Iterator[Path]:
    """Every picture file in ``folder`` and its sub-folders; a link back up ends the descent."""
    yield from _descend(folder, root, skipped, frozenset())


def _descend(folder: Path, root: Path, skipped: Skipped, above: frozenset[str]) -> Iterator[Path]:
    here = os.path.realpath(folder)
    if here in above:
        return
    folders, pictures = entries(folder, root, skipped)
    yield from pictures
    for sub in folders:
        yield from _descend(sub, root, skipped, above | {here})
