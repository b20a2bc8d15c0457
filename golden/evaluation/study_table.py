"""The accuracy study as Markdown."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from golden.evaluation.study_rows import Row
from golden.quant.search.observers import METHODS

_COLUMNS = ("dev top-1 %", "agreement %", "SQNR dB", "fold agreement %", "fold SQNR dB")
_HEADER = f"""\
| options | {" | ".join(_COLUMNS)} | codes off % |
|---|---|---|---|---|---|---|
"""


def document(
    facts: dict[str, Any],
    rows: list[tuple[Row, dict[str, Any]]],
    matrix: dict[str, dict[str, Any]],
    subsets: list[tuple[Row, list[dict[str, Any]]]],
) -> str:
    """Return the whole document: what was measured and how, one table a section."""
    parts = [_introduction(facts, bool(matrix)) + _machines([found for _, found in rows])]
    for section, entries in groupby(rows, key=lambda entry: entry[0].section):
        lines = "".join(_line(row, found) for row, found in entries)
        parts.append(f"## {section}\n{_HEADER}{lines}")
    if any(found for _, found in subsets):
        parts.append(_subsets(subsets))
    if matrix:
        parts.append(_matrix(matrix))
    return "\n".join(parts)


def _introduction(facts: dict[str, Any], matrix: bool) -> str:
    calib, dev = facts["calib"], facts["dev"]
    words = "--matrix" if matrix else f"--model {facts['model']} --calib {calib} --out FILE"
    return f"""\
# Accuracy: every option, measured

Written by `python -m golden study {words}`; do not edit.
Model `{facts["model"]}`, weights: {facts["weights"]} (sha256 {facts["weights_sha256"][:16]}),
data set `{facts["data"]}`.

- **dev**: quantized on {calib} calibration pictures, evaluated on {dev} others. fp32 top-1 there
  is {facts["fp_top1"]:.2f} %; one picture is {100 / dev:.2f} %, the noise about one point.
- **fold**: quantized on one half of the calibration pictures, scored on the other, both ways.
  Defaults follow these two columns: SQNR decides from 0.2 dB on; agreement (one picture is
  {100 / calib:.2f} %) moves by up to four points between rows of nearly equal SQNR. dev
  only reports.
- **agreement**: same top-1 as fp32. **SQNR**: of the logits against fp32.
- **codes off**: attention codes that exact exponentials of the same logits would make another.

Every row changes the defaults (first section) only in what it names; a section's title says which
default it starts from. Observers that end in the same exponents give equal rows: each is only
where the search for the power of two of least error begins.
"""


def _machines(rows: list[dict[str, Any]]) -> str:
    """Where the rows were made, and what that means."""
    machines = dict.fromkeys(found.get("machine", "not recorded") for found in rows)
    return f"""
Integers can differ between machines: calibration ends in floating-point solves, and where a weight
lies near the middle of two integers their last bit decides. Rows of one machine compare; between
two, agreement has moved by up to two points. Machine: {", ".join(machines)}.
"""


def _line(row: Row, found: dict[str, Any]) -> str:
    keys = ("top1", "agreement", "sqnr", "fold_agreement", "fold_sqnr", "codes_off")
    cells = ["-" if found[key] is None else f"{found[key]:.2f}" for key in keys]
    return f"| {row.name} | {' | '.join(cells)} |\n"


def _subsets(subsets: list[tuple[Row, list[dict[str, Any]]]]) -> str:
    """Mean and range over random halves of the calibration pictures."""
    measured = [(row, found) for row, found in subsets if found]
    machines = dict.fromkeys(one["machine"] for _, found in measured for one in found)
    lines = [
        "## Calibration subsets",
        f"Each row on random halves ({measured[0][1][0]['pictures']}) of the calibration pictures",
        "(mean, and the lowest and highest in brackets). Float sums round differently on",
        f"other processors. Made on: {', '.join(machines)}.",
        "",
        "| options | halves | dev top-1 % | agreement % | SQNR dB |",
        "|---|---|---|---|---|",
    ]
    for row, found in measured:
        cells = []
        for key in ("top1", "agreement", "sqnr"):
            values = [one[key] for one in found]
            mean = sum(values) / len(values)
            cells.append(f"{mean:.2f} ({min(values):.2f} to {max(values):.2f})")
        lines.append(f"| {row.name} | {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _matrix(matrix: dict[str, dict[str, Any]]) -> str:
    lines = [
        "## Every observer on every model",
        "SQNR of the logits in dB on two pictures after calibrating on the same two: a smoke test,",
        "each combination runs and means what the float network means.",
        "",
        f"| model | weights | {' | '.join(METHODS)} |",
        f"|---|---|{'---|' * len(METHODS)}",
    ]
    for name, found in matrix.items():
        cells = " | ".join(f"{found[method]:.2f}" for method in METHODS)
        lines.append(f"| {name} | {found['weights']} | {cells} |")
    return "\n".join(lines) + "\n"
