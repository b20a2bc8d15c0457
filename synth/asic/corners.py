"""Liberty files by corner, and what mapping has to know of the cells in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from golden.support.errors import PotvitError
from synth.cells import cell_bodies

#: Corners by what stands in a file's name; a single file is typical whatever its name.
CORNERS = ("typ", "slow", "fast")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A library.

    ``files`` by corner, ``text`` of the typical one; ``active`` the level of the asynchronous
    reset that registers have (None: there are plain ones), ``tie_high`` and ``tie_low`` cell and
    pin that give a constant (or None), ``nand2`` the smallest NAND's area, ``flip_flop`` the
    smallest register's.
    """

    files: dict[str, Path]
    text: str
    active: int | None
    tie_high: tuple[str, str] | None
    tie_low: tuple[str, str] | None
    nand2: float | None
    flip_flop: float


def files_by_corner(path: Path, what: str) -> dict[str, list[Path]]:
    """The Liberty files of a file or folder by corner.

    Raises:
        PotvitError: there is none, or none that is typical.
    """
    if path.is_file():
        return {"typ": [path]}
    if not path.is_dir():
        raise PotvitError(f"{what} {path} does not exist")
    found: dict[str, list[Path]] = {}
    for file in sorted(path.glob("*.lib")):
        for corner in CORNERS:
            if f"_{corner}_" in file.name:
                found.setdefault(corner, []).append(file)
    if "typ" not in found:
        raise PotvitError(f"{what} {path} has no Liberty file with _typ_ in its name")
    return found


def read_cells(path: Path) -> Cells:
    """The library in a file or folder; files of memories are left aside.

    Raises:
        PotvitError: see `files_by_corner`; or there are no cells, no flip-flop, or several
            libraries of one corner.
    """
    chosen: dict[str, Path] = {}
    for corner, files in files_by_corner(path, "Liberty").items():
        logic = [file for file in files if not has_memory(read_text(file))]
        if len(logic) > 1:
            raise PotvitError(
                f"Liberty {path} has {len(logic)} libraries of corner {corner}; name one file"
            )
        if logic:
            chosen[corner] = logic[0]
    if "typ" not in chosen:
        raise PotvitError(f"Liberty {path} has memories only, no cells")
    text = read_text(chosen["typ"])
    cells = cell_bodies(text)
    if not cells:
        raise PotvitError(f"Liberty {chosen['typ']}: no cell found; is it a .lib text file?")
    return Cells(
        files=chosen, text=text, active=_reset(cells, chosen["typ"]),
        tie_high=_tie(cells, "1"), tie_low=_tie(cells, "0"), nand2=_nand2(cells),
        flip_flop=_flip_flop(cells),
    )  # fmt: skip


def has_memory(liberty: str) -> bool:
    """Whether Liberty text has a memory in it."""
    return bool(re.search(r"\bmemory\s*\(", liberty))


def read_text(file: Path) -> str:
    """The text of a Liberty file.

    Raises:
        PotvitError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PotvitError(f"Liberty {file}: {error.strerror}") from None


def _usable(body: str) -> bool:
    return not re.search(r"\bdont_use\s*:\s*\"?true", body)


def _reset(cells: dict[str, str], file: Path) -> int | None:
    """Active level of the reset of rising-edge flip-flops, None if one of them has none."""
    levels: set[int] = set()
    for body in filter(_usable, cells.values()):
        group = re.search(r"\bff\s*\([^)]*\)\s*\{([^}]*)\}", body)
        if not group or "preset" in group[1]:
            continue
        clock = re.search(r'\bclocked_on\s*:\s*"\s*\(?\s*\w+\s*\)?\s*"', group[1])
        if not clock or not re.search(r'\bnext_state\s*:\s*"\s*\(?\s*\w+\s*\)?\s*"', group[1]):
            continue
        clear = re.search(r'\bclear\s*:\s*"\s*\(?\s*([!~]?)\s*\(?\w+\)?(\'?)', group[1])
        if clear is None:
            return None
        levels.add(0 if clear[1] or clear[2] else 1)
    if not levels:
        raise PotvitError(
            f"Liberty {file} has no rising-edge D flip-flop, plain or with asynchronous reset"
        )
    return min(levels)


def _tie(cells: dict[str, str], level: str) -> tuple[str, str] | None:
    """Cell and pin that give a constant."""
    for name, body in cells.items():
        pin = re.search(rf'pin\s*\(\s*"?(\w+)"?\s*\)\s*\{{[^{{}}]*function\s*:\s*"{level}"', body)
        if pin:
            return name, pin[1]
    return None


def _flip_flop(cells: dict[str, str]) -> float:
    """Area of the smallest register."""
    return min(
        float(area[1])
        for body in cells.values()
        if re.search(r"\bff\s*\(", body) and (area := re.search(r"\barea\s*:\s*([\d.]+)", body))
    )


def _nand2(cells: dict[str, str]) -> float | None:
    """Area of the smallest two-input NAND."""
    areas = []
    for body in cells.values():
        functions = re.findall(r'\bfunction\s*:\s*"([^"]*)"', body)
        area = re.search(r"\barea\s*:\s*([\d.]+)", body)
        if len(functions) == 1 and area:
            plain = re.sub(r"\s", "", functions[0]).replace("*", "&")
            if re.fullmatch(r"!\(\w+&\w+\)|\(\w+&\w+\)'|\(?!\w+\)?\|\(?!\w+\)?", plain):
                areas.append(float(area[1]))
    return min((area for area in areas if area > 0), default=None)
