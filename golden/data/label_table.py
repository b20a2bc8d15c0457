"""Data sets that a table lists: ``labels.csv`` with the columns file, label and split."""

from __future__ import annotations

import csv
import os
import re
from functools import partial
from pathlib import Path

from golden.catalogue.models import ModelSpec
from golden.data.pictures import Sample, open_image
from golden.support.errors import PotvitError

TABLE = "labels.csv"
COLUMNS = ("file", "label", "split")
CALIB, DEV = "calib", "dev"


def read_label_table(folder: Path, spec: ModelSpec) -> tuple[list[Sample], list[Sample], str]:
    """Pictures of the splits ``calib`` and ``dev`` in the table's order, and the rule in words.

    Labels count from 0. One of ``calib`` may be empty: calibration needs none. A byte-order mark,
    any line ending, blanks around values, and further columns are accepted. A picture may be in
    both splits, which the rule says.

    Raises:
        PotvitError: the table is no CSV text, lacks a column, or has a wrong row (named by its
            line): an unknown split, a label out of range, a missing file, one listed twice.
    """
    table = folder / TABLE
    splits: dict[str, dict[str, Sample]] = {CALIB: {}, DEV: {}}
    try:
        # A spreadsheet may put a byte-order mark in front.
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, skipinitialspace=True)
            header = [cell.strip().lower() for cell in next(reader, [])]
            places = _places(table, header)
            for row in reader:
                if any(cell.strip() for cell in row):
                    where = f"{table} line {reader.line_num}"
                    name, label, split = _cells(row, header, places, where)
                    _add(splits, _sample(folder, name, label, split, spec, where), split, where)
    except (UnicodeDecodeError, csv.Error) as error:
        raise PotvitError(f"{table} is no CSV text ({error})") from None
    if not any(splits.values()):
        raise PotvitError(f"{table} lists no pictures")
    both = len(splits[CALIB].keys() & splits[DEV].keys())
    rule = f"{TABLE}, {both} of the pictures in both splits" if both else TABLE
    return list(splits[CALIB].values()), list(splits[DEV].values()), rule


def _cells(
    row: list[str], header: list[str], places: dict[str, int], where: str
) -> tuple[str, str, str]:
    while len(row) > len(header) and not row[-1].strip():
        row.pop()
    if len(row) != len(header):
        raise PotvitError(
            f"{where}: file, label and split are needed: {len(row)} values for {len(header)} "
            "columns (a comma inside one needs quotes)"
        )
    name, label, split = (row[places[column]].strip() for column in COLUMNS)
    return name, label, split


def _sample(folder: Path, name: str, label: str, split: str, spec: ModelSpec, where: str) -> Sample:
    number = -1 if split == CALIB and not label else _label(label, spec, where)
    if not name:
        raise PotvitError(f"{where}: the file name is missing")
    path = folder / name
    if not path.is_file():
        raise PotvitError(f"{where}: picture {name} does not exist")
    return Sample(name=name, label=number, open=partial(open_image, path))


def _add(splits: dict[str, dict[str, Sample]], sample: Sample, split: str, where: str) -> None:
    """Enter a row that contradicts and repeats no other."""
    if split not in splits:
        raise PotvitError(f"{where}: split {split!r} is neither {CALIB} nor {DEV}")
    key = os.path.normpath(sample.name)
    for other, found in splits.items():
        labels = {sample.label, found[key].label} - {-1} if key in found else set()
        if len(labels) > 1:
            raise PotvitError(f"{where}: {sample.name} has label {found[key].label} further above")
        if key in found and other == split:
            raise PotvitError(f"{where}: {sample.name} is in {split} already")
    splits[split][key] = sample


def _places(table: Path, header: list[str]) -> dict[str, int]:
    """Where each column is."""
    for column in COLUMNS:
        if header.count(column) > 1:
            raise PotvitError(f"{table} has the column {column!r} twice")
        if column not in header:
            found = f" (its first line is {', '.join(header)[:60]!r})" if header else ""
            raise PotvitError(f"{table} lacks the column {column!r}{found}")
    return {column: header.index(column) for column in COLUMNS}


def _label(text: str, spec: ModelSpec, where: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise PotvitError(f"{where}: label {text!r} is not a number")
    label = int(text)
    if not 0 <= label < spec.num_classes:
        hint = " (labels count from 0)" if label == spec.num_classes else ""
        raise PotvitError(f"{where}: label {label} is outside 0..{spec.num_classes - 1}{hint}")
    return label
