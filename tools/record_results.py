"""Keep the figures that the README shows: from the reports in build/ to docs/data/.

Run from the repository's root after `make eval`, `make bench`, `make sim`, `make synth`,
`make explore`: ``python -m tools.record_results``. A run replaces the record of the same name; a
file of docs/data that build/ has nothing for stays as it is. Left out: runs that were not bit-exact
or had random stalls, evaluations of random weights or few pictures.
"""

import json
import sys
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.report_file import write_json
from hw.config import PRESETS

DATA = Path("docs/data")

#: What is kept of a run (see `sim.commands.run`).
RUN_FIELDS = (
    "model", "bits", "attn", "config", "weights", "cycles", "predicted_cycles",
    "checkpoint_cycles", "macs", "peak_macs_per_cycle", "array_utilisation",
    "precision_weighted_utilisation", "array_cycles", "tensors_checked", "elements_checked",
    "dram_bytes", "dram_bytes_least", "cycles_per_picture", "pictures_together", "serial_ratio",
)  # fmt: skip

#: What is kept of an evaluation (see `golden.commands.eval`).
EVAL_FIELDS = (
    "model", "bits", "attn", "weights", "images", "fp_top1", "fp_top5", "int_top1", "int_top5",
    "agreement", "machine",
)  # fmt: skip
#: What is kept of a comparison of speeds (see `golden.commands.bench`).
BENCH_FIELDS = (
    "model", "bits", "attn", "weights", "pictures", "rounds", "machine", "kernels", "load", "runs",
)  # fmt: skip
#: Evaluations on fewer pictures say little.
EVAL_PICTURES = 200

#: What is kept of a synthesis report, by target (see `synth.report`, `synth.xcup`, `synth.ecp5`).
SYNTH_FIELDS = {
    "generic": (
        "config", "macs", "area_unit", "totals", "parts", "special_share", "kge_per_mac",
        "sram_bits", "ablations", "verilog_sha256",
    ),
    "xcup": ("config", "macs", "totals", "sram_bits", "verilog_sha256"),
    "ecp5": ("config", "macs", "part", "fmax_mhz", "totals", "critical_path", "verilog_sha256"),
}  # fmt: skip

#: What is kept of a point of an exploration (see `sim.explore.evaluate`).
POINT_FIELDS = (
    "name", "macs_per_cycle", "cycles", "utilisation", "logic_ge", "kge_per_mac", "sram_bits",
    "area_ge", "confirmed",
)  # fmt: skip


def main() -> int:
    """Rewrite the records in docs/data with what build/ has; status 2 if it has nothing."""
    try:
        found = {
            ("accuracy", "runs"): evaluations(),
            ("performance", "runs"): runs(),
            ("exploration", "models"): explorations(),
            ("bench", "runs"): benches(),
            ("area_units", "units"): areas(),
        } | {("synthesis", target): synthesis(target) for target in SYNTH_FIELDS}
        if not any(found.values()):
            raise PotvitError(
                f"{BUILD} has nothing to record: run `make eval`, `make sim`, `make synth` or "
                "`make explore`"
            )
        for (name, key), records in found.items():
            if records:
                print(update(name, key, records))
    except PotvitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def benches() -> dict[str, Any]:
    """Comparisons of the executor's speed with float's, by model, bits and codes."""
    return {
        "-".join(report[field] for field in ("model", "bits", "attn")): kept(
            path, report, BENCH_FIELDS
        )
        for path, report in reports("bench/executor*.json", "rounds")
    }


def update(name: str, key: str, found: dict[str, Any]) -> str:
    """Put ``found`` into object ``key`` of ``docs/data/<name>.json``; a line that says so."""
    path = DATA / f"{name}.json"
    content = load(path) if path.exists() else {}
    records = content.get(key, {}) | found
    write_json(path, content | {key: dict(sorted(records.items()))})
    return f"{path}: {len(found)} of {len(records)} {key} from {BUILD}"


def evaluations() -> dict[str, Any]:
    """Integer networks of trained weights on enough pictures."""
    return {
        path.stem: kept(path, report, EVAL_FIELDS)
        for path, report in reports("eval/*.json", "images")
        if report.get("int_top1") is not None
        and report["images"] >= EVAL_PICTURES
        and not report["weights"].startswith("random")
    }


def runs() -> dict[str, Any]:
    """Bit-exact runs without random stalls."""
    found = {}
    for path, report in reports("sim/*.json", "array_cycles"):
        if report["bit_exact"] and report["stall_mode"] == "none":
            worst = max(abs(x["predicted"] / x["cycles"] - 1) for x in report["layers"])
            found[path.stem] = kept(path, report, RUN_FIELDS) | {"worst_layer_error": worst}
    return found


def explorations() -> dict[str, Any]:
    """Pareto fronts, and the preset in the middle of the sweep."""
    found = {}
    for path, report in reports("explore/*.json", "points"):
        legal = [row for row in report["points"] if "refused" not in row]
        front = sorted((r for r in legal if r["pareto"]), key=lambda r: r["area_ge"])
        reference = [row for row in legal if row["name"] == report["reference"]]
        found[path.stem] = {
            "bits": report["bits"],
            "preset": report["preset"],
            "points": len(report["points"]),
            "legal": len(legal),
            "front": [_point(row) for row in front],
            "reference": [_point(row) for row in reference],
        }
    return found


def _point(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in POINT_FIELDS if name in row}


def areas() -> dict[str, Any]:
    """Unit areas of the presets in the generic library."""
    return {
        report["config"]: {unit["name"]: unit["area"] for unit in report["units"]}
        for _, report in reports("synth/*-generic.json", "units")
        if report["area_unit"] == "NAND2" and not report["unit"] and report["config"] in PRESETS
    }


def synthesis(target: str) -> dict[str, Any]:
    """Reports of ``target`` on presets, whole and in the project's own cells."""
    found = {}
    for path, report in reports(f"synth/*-{target}.json", "totals"):
        own = report.get("area_unit", "NAND2") == "NAND2"
        if own and not report.get("unit") and report.get("config") in PRESETS:
            record = kept(path, report, SYNTH_FIELDS[target])
            if target == "generic":
                for name in ("eight_bit_only", "eight_by_four"):
                    wide = report.get(name)
                    record[name] = wide and {k: wide[k] for k in ("kge_per_mac", "cost")}
            found[report["config"]] = record
    return found


def kept(path: Path, report: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """``fields`` of ``report``, which ``path`` holds.

    Raises:
        PotvitError: it lacks one.
    """
    for name in fields:
        if name not in report:
            raise PotvitError(f"{path} has no {name!r}: run its target again, or remove it")
    return {name: report[name] for name in fields}


def load(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        PotvitError: it holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise PotvitError(f"{path} is no JSON file: remove it") from None
    if not isinstance(value, dict):
        raise PotvitError(f"{path} holds no JSON object: remove it")
    return value


def reports(pattern: str, key: str) -> list[tuple[Path, dict[str, Any]]]:
    """The JSON reports under build/ that ``pattern`` finds.

    Raises:
        PotvitError: one of them is none, or is of an older make.
    """
    found = []
    for path in sorted(BUILD.glob(pattern)):
        report = load(path)
        kept(path, report, (key,))
        found.append((path, report))
    return found


if __name__ == "__main__":
    sys.exit(main())
