"""Write the README's tables from what they describe.

Run from the repository's root: ``python -m tools.readme_tables`` rewrites the blocks between
``<!-- table: NAME -->`` and ``<!-- end -->``; with ``--check`` it only says which differ (status
1). A new table is a function in `TABLES`.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def targets() -> str:
    """The Makefile's documented targets."""
    text = Path("Makefile").read_text(encoding="utf-8")
    found = re.findall(r"^([a-z-]+):.*?## (.*)$", text, re.MULTILINE)
    cells = [
        [f"`make {name}`", summary.replace("|", "\\|").replace("<", "&lt;")]
        for name, summary in found
    ]
    return markdown(["target", "what it does"], cells)


def models() -> str:
    """The models and how each sees a picture."""
    from golden.models import MODELS

    def values(numbers: Sequence[float]) -> str:
        return ", ".join(f"{number:g}" for number in numbers)

    return markdown(
        ["model", "timm name", "resize, crop", "mean", "standard deviation", "classes"],
        [
            [
                f"`{spec.name}`",
                f"`{spec.timm_name}`" if spec.timm_name else "the project's own",
                f"{spec.preprocess.resize}, {spec.preprocess.size}",
                values(spec.preprocess.mean),
                values(spec.preprocess.std),
                str(spec.num_classes),
            ]
            for spec in MODELS.values()
        ],
    )


def digits() -> str:
    """Split and measured accuracy of the bundled vit_digits."""
    from golden.digits import accuracy, digits_split
    from golden.models import DIGITS_WEIGHTS, load_model

    train, test = digits_split()
    return markdown(
        ["training pictures", "test pictures", "float top-1", "weights file"],
        [
            [
                str(len(train)),
                str(len(test)),
                f"{accuracy(load_model('vit_digits').module):.2f} %",
                f"{DIGITS_WEIGHTS.stat().st_size:,} bytes",
            ]
        ],
    )


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


def _recorded(name: str) -> dict[str, Any]:
    """A data file that `tools.record_results` keeps."""
    found: dict[str, Any] = json.loads(Path(f"docs/data/{name}.json").read_text(encoding="utf-8"))
    return found


TABLES: dict[str, Callable[[], str]] = {
    "targets": targets,
    "models": models,
    "digits": digits,
    "performance": performance,
    "lost-cycles": lost_cycles,
    "exploration": exploration,
}


def rewritten(text: str) -> str:
    """`text` with every table block made anew.

    Raises:
        KeyError: a block names a table that nobody makes.
    """
    return _BLOCK.sub(lambda m: m[1] + TABLES[m["name"]]() + m[3], text)


def main() -> int:
    """Rewrite or check README.md."""
    parser = argparse.ArgumentParser(description="Write README.md's tables from their sources.")
    parser.add_argument("--check", action="store_true", help="only say whether they differ")
    args = parser.parse_args()
    readme = Path("README.md")
    old = readme.read_text(encoding="utf-8")
    new = rewritten(old)
    if args.check and new != old:
        print("README.md's tables differ from their sources: run `make readme`", file=sys.stderr)
        return 1
    if new != old:
        readme.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
