"""The JSON files that a report is made from, and what to run for those that are missing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from golden.support.locations import BUILD

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "data"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Reports of one run; what is None is missing, and ``missing`` says how to make it.

    ``sim`` and ``other`` are runs of the same model with these and with the other weight bits;
    ``area``, ``fpga`` and ``placed`` are synthesis reports, ``placed`` of another configuration if
    this one's is missing; ``accuracy`` is an evaluation.
    """

    sim: dict[str, Any] | None
    other: dict[str, Any] | None
    area: dict[str, Any] | None
    fpga: dict[str, Any] | None
    placed: dict[str, Any] | None
    accuracy: dict[str, Any] | None
    missing: dict[str, str]


def gather(model: str, bits: str, attn: str, config: str, build: Path = BUILD) -> Inputs:
    """Read what there is for one run.

    Raises:
        PotvitError: a file is there but is no report, or is of an older make.
    """
    other = {"w8a8": "w4a8", "w4a8": "w8a8"}.get(bits)
    options = f"BITS={bits} ATTN={attn}"
    wanted = {
        "sim": (build / "sim" / f"{model}-{bits}-{attn}-{config}.json",
                f"make sim MODEL={model} CONFIG={config} {options}", "layers"),
        "area": (build / "synth" / f"{config}-generic.json",
                 f"make synth CONFIG={config} TARGET=generic", "units"),
        "fpga": (build / "synth" / f"{config}-xcup.json",
                 f"make synth CONFIG={config} TARGET=xcup", "totals"),
        "placed": (build / "synth" / f"{config}-ecp5.json",
                   f"make synth CONFIG={config} TARGET=ecp5", "fmax_mhz"),
        "accuracy": (build / "eval" / f"{model}-{bits}-{attn}.json",
                     f"make eval MODEL={model} {options}", "fp_top1"),
    }  # fmt: skip
    found: dict[str, Any] = {}
    missing = {}
    for name, (path, target, key) in wanted.items():
        found[name] = read(path, key, target)
        if found[name] is None:
            condition = " if the part holds the configuration" if name == "placed" else ""
            missing[name] = f"{path} is missing: `{target}` makes it{condition}."
    if found["placed"] is None:
        found["placed"] = _placed_elsewhere(build / "synth")
    found["other"] = None
    if other:
        found["other"] = read(
            build / "sim" / f"{model}-{other}-{attn}-{config}.json", "layers", "make sim"
        )
    return Inputs(**found, missing=missing)


def _placed_elsewhere(folder: Path) -> dict[str, Any] | None:
    """The report of the fastest other configuration that was placed and routed."""
    reports = [read(p, "fmax_mhz", "make synth TARGET=ecp5") for p in folder.glob("*-ecp5.json")]
    return max((r for r in reports if r and r["fmax_mhz"]), key=_clock, default=None)


def _clock(report: dict[str, Any]) -> float:
    return float(report["fmax_mhz"])


def read(path: Path, key: str, target: str) -> dict[str, Any] | None:
    """The JSON object in ``path``, None if there is no file; it must have ``key``.

    Raises:
        PotvitError: the file holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PotvitError(f"{path} cannot be read: {error.strerror}") from None
    try:
        value = json.loads(text)
    except ValueError:
        raise PotvitError(f"{path} is no JSON file: `{target}` makes it anew") from None
    if not isinstance(value, dict) or key not in value:
        raise PotvitError(f"{path} has no {key!r}: `{target}` makes it anew")
    return value


def published(name: str) -> dict[str, Any]:
    """A data file of the project's own, ``docs/data/<name>.json``."""
    value = read(PUBLISHED / f"{name}.json", "source" if name == "energy" else "systems", "git")
    if value is None:
        raise PotvitError(f"docs/data/{name}.json is missing: check the repository out again")
    return value
