"""The README's tables of recorded figures, each from a file in docs/data."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def accuracy() -> str:
    """Recorded evaluations of integer networks."""
    rows = [
        [
            f"`{run['model']}`",
            run["bits"],
            run["attn"],
            str(run["images"]),
            f"{run['fp_top1']:.2f} / {run['fp_top5']:.2f} %",
            f"{run['int_top1']:.2f} / {run['int_top5']:.2f} %",
            f"{run['agreement']:.2f} %",
            _machine(run),
        ]
        for run in _recorded("accuracy")["runs"].values()
    ]
    header = ["model", "bits", "attention codes", "pictures", "float top-1 / top-5",
              "integer top-1 / top-5", "same top-1", "machine"]  # fmt: skip
    return markdown(header, rows)


def _machine(run: dict[str, Any]) -> str:
    """Where a record was made; the first ones did not say."""
    where = run.get("machine")
    return f"{where['processor']}, {where['cores']} cores" if where else "not recorded"


def speed() -> str:
    """Recorded comparisons of the integer executor's speed with float's."""
    rows = [
        [
            f"`{run['model']}` {run['bits']} {run['attn']}",
            str(found["threads"]),
            *(
                f"{side['median']:.1f} ({side['lowest']:.1f} to {side['highest']:.1f}), "
                f"batch {side['batch']}"
                for side in (found["integer"], found["floating"])
            ),
            f"{found['ratio']:.2f}",
            _machine(run),
        ]
        for run in _recorded("bench")["runs"].values()
        for found in run["runs"]
    ]
    header = ["network", "threads", "integer, pictures per second", "fp32, pictures per second",
              "integer / fp32", "machine"]  # fmt: skip
    return markdown(header, rows)


def performance() -> str:
    """Recorded runs in RTL."""
    rows = []
    for run in _recorded("performance")["runs"].values():
        peak = run["peak_macs_per_cycle"]
        error = 100 * (run["predicted_cycles"] / run["cycles"] - 1)
        rows.append(
            [
                f"`{run['model']}` {run['bits']} {run['attn']}",
                f"`{run['config']}`",
                f"{run['cycles']:,}",
                f"{100 * run['array_utilisation']:.2f} % of {peak}",
                f"{100 * run['precision_weighted_utilisation']:.2f} %",
                f"{error:+.2f} % ({100 * run['worst_layer_error']:.2f} %)",
                f"{run['tensors_checked']} ({run['elements_checked']:,})",
            ]
        )
    header = ["network", "configuration", "cycles", "array utilisation, of MACs per cycle",
              "precision-weighted", "cycle model (worst layer)",
              "tensors (elements) compared, all equal"]  # fmt: skip
    return markdown(header, rows)


def traffic() -> str:
    """Bytes that the recorded runs moved, beside the least there is; pictures back to back."""
    rows = []
    for run in _recorded("performance")["runs"].values():
        if not run.get("dram_bytes_least"):
            continue  # recorded before this was kept
        moved, least = sum(run["dram_bytes"].values()), run["dram_bytes_least"]
        serial, several = run["serial_ratio"], run["pictures_together"]
        rows.append(
            [
                f"`{run['model']}` {run['bits']} {run['attn']}",
                f"`{run['config']}`",
                f"{moved:,}",
                f"{least:,}",
                f"{moved / least:.2f}",
                f"{run['cycles_per_picture']:,} ({several})" if several > 1 else "-",
                ", ".join(f"{part} {x:.2f}" for part, x in serial.items()) if serial else "-",
            ]
        )
    header = ["network", "configuration", "bytes moved", "least possible", "ratio",
              "cycles per picture (pictures back to back)",
              "one instruction at a time, times as many cycles"]  # fmt: skip
    return markdown(header, rows)


def lost_cycles() -> str:
    """What the array did in every cycle of the recorded runs on base."""
    names = {"useful": "useful products", "rows": "rows without a token",
             "columns": "columns without a channel or key", "lanes": "lanes beyond the last one",
             "pace": "tiles shorter than their drain", "parameters": "reading bias and shift",
             "constants": "waiting for position constants"}  # fmt: skip
    runs = [r for r in _recorded("performance")["runs"].values() if r["config"] == "base"]
    rows = [
        [what, *(_share(run["array_cycles"][name], run["cycles"]) for run in runs)]
        for name, what in names.items()
        if any(run["array_cycles"][name] for run in runs)
    ]
    for unit in runs[0]["array_cycles"]["waiting"]:
        waits = [(run["array_cycles"]["waiting"][unit], run["cycles"]) for run in runs]
        what = {"starved": "the first instruction", "issue": "instruction handover"}.get(unit)
        if any(wait for wait, _ in waits):
            rows.append([f"waiting for {what or unit.upper()}", *(_share(*w) for w in waits)])
    return markdown(["cycles", *(f"`{r['model']}` {r['bits']} {r['attn']}" for r in runs)], rows)


def _share(part: float, whole: float) -> str:
    return f"{part:,.0f} ({100 * part / whole:.2f} %)"


def exploration() -> str:
    """Recorded Pareto fronts: confirmed points, and those 3 % faster than the one before."""
    rows = []
    for model, found in _recorded("exploration")["models"].items():
        fastest = None
        for row in found["front"]:
            rtl = row.get("confirmed")
            if not rtl and fastest and row["cycles"] > 0.97 * fastest:
                continue
            fastest = row["cycles"]
            rows.append(
                [
                    f"`{model}`",
                    row["name"],
                    str(row["macs_per_cycle"]),
                    f"{row['cycles']:,}",
                    f"{100 * row['utilisation']:.1f} %",
                    f"{row['logic_ge'] / 1000:,.0f}",
                    f"{row['sram_bits'] / 8192:,.0f}",
                    f"bit-exact, {rtl['cycles']:,}" if rtl and rtl["bit_exact"] else "",
                ]
            )
    header = ["model", "configuration", "MACs", "cycles", "utilisation", "logic kGE", "memory KiB",
              "in RTL"]  # fmt: skip
    return markdown(header, rows)


def area() -> str:
    """Recorded areas of the presets in library cells, memories excluded."""
    rows = []
    for name, found in _synthesized("generic"):
        alone = found["eight_bit_only"]
        rows.append(
            [
                f"`{name}`",
                f"{found['macs']:,}",
                f"{found['totals']['area'] / 1000:,.0f}",
                f"{found['kge_per_mac']:.3f}",
                f"{alone['kge_per_mac']:.3f} ({100 * alone['cost']:+.1f} %)",
                f"{100 * found['special_share']:.1f} %",
                f"{found['sram_bits'] / 8192:,.1f}",
            ]
        )
    header = ["configuration", "MACs", "logic kGE", "kGE per MAC",
              "8-bit only (what 8x4 adds)", "softmax, shifters, LayerNorm, requantization",
              "memory KiB"]  # fmt: skip
    return markdown(header, rows)


def area_parts() -> str:
    """Share of every part of the design in the recorded areas."""
    found = _synthesized("generic")
    names = dict.fromkeys(part["name"] for _, report in found for part in report["parts"])
    rows = []
    for name in names:
        cells = []
        for _, report in found:
            part = next((p for p in report["parts"] if p["name"] == name), None)
            cells.append(f"{part['area'] / 1000:,.1f} ({100 * part['share']:.1f} %)" if part
                         else "-")  # fmt: skip
        rows.append([name, *cells])
    return markdown(["kGE", *(f"`{name}`" for name, _ in found)], rows)


def ablations() -> str:
    """Recorded comparisons of units with ordinary ones."""
    rows = [
        [f"`{name}`", row["what"], f"{row['ours']:,.0f} ({row['ours_is']})",
         f"{row['ordinary']:,.0f} ({row['ordinary_is']})", f"{row['ratio']:.2f}"]
        for name, found in _synthesized("generic")
        for row in found["ablations"]
        if name == "base"
    ]  # fmt: skip
    return markdown(["configuration", "unit", "GE", "ordinary, GE", "ordinary / this"], rows)


def fpga() -> str:
    """Recorded resources of FPGAs."""
    kinds = ("LUT", "LUTRAM", "FF", "DSP", "BRAM36", "URAM")
    rows = [
        [f"`{name}`", "UltraScale+ (not placed)",
         *(f"{found['totals'][kind]:,g}" for kind in kinds), "-"]
        for name, found in _synthesized("xcup")
    ]  # fmt: skip
    for name, found in _synthesized("ecp5"):
        used = {kind: f"{row['used']:,}" for kind, row in found["totals"].items()}
        used["BRAM36"] = f"{used.pop('BRAM')} of 18 kbit"
        rows.append(
            [f"`{name}`", f"{found['part']}, placed and routed",
             *(used.get(kind, "-") for kind in kinds), f"{found['fmax_mhz']:.1f}"]
        )  # fmt: skip
    return markdown(["configuration", "part", *kinds, "MHz"], rows)


def _synthesized(target: str) -> list[tuple[str, dict[str, Any]]]:
    """Recorded reports of ``target``, smallest configuration first."""
    found = _recorded("synthesis").get(target, {})
    return sorted(found.items(), key=lambda item: item[1]["macs"])


def _recorded(name: str) -> dict[str, Any]:
    """A data file that `tools.record_results` keeps.

    Raises:
        PotvitError: it is missing or broken.
    """
    path = Path(f"docs/data/{name}.json")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PotvitError(f"{path} is missing: `make record` makes it") from None
    except ValueError:
        raise PotvitError(f"{path} is no JSON file: remove it and run `make record`") from None
    return found


RECORDED: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "speed": speed,
    "performance": performance,
    "traffic": traffic,
    "lost-cycles": lost_cycles,
    "exploration": exploration,
    "area": area,
    "area-parts": area_parts,
    "ablations": ablations,
    "fpga": fpga,
}
