"""Tables of recorded runs: accuracy, speed, cycles, traffic, exploration."""

from typing import Any

from tools.records import markdown, recorded


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
        for run in recorded("accuracy")["runs"].values()
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
        for run in recorded("bench")["runs"].values()
        for found in run["runs"]
    ]
    header = ["network", "threads", "integer, pictures per second", "fp32, pictures per second",
              "integer / fp32", "machine"]  # fmt: skip
    return markdown(header, rows)


def performance() -> str:
    """Recorded runs in RTL."""
    rows = []
    for run in recorded("performance")["runs"].values():
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
    for run in recorded("performance")["runs"].values():
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
    runs = [r for r in recorded("performance")["runs"].values() if r["config"] == "base"]
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
    for model, found in recorded("exploration")["models"].items():
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
