"""``python -m sim bench``: how fast a network simulates, in turns with another checkout."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from golden.commands.quant_arguments import positive
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.machine import machine
from golden.support.report_file import require_writable, write_json

OUT = BUILD / "bench" / "simulation.json"
#: What the other checkout's own command must say of its run.
FIELDS = ("cycles", "checkpoint_cycles", "sim_seconds", "bit_exact")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--model", default="deit_tiny", metavar="NAME", help="network (deit_tiny)")
    parser.add_argument("--config", default="base", metavar="NAME", help="accelerator (base)")
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER",
        help="another checkout of this project, whose simulator takes turns with this one",
    )  # fmt: skip
    parser.add_argument("--repeats", type=positive, default=3, metavar="N", help="of each (3)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help=f"report ({OUT})")


def run(args: argparse.Namespace) -> int:
    """Simulate in turns, write the report, print it in lines."""
    sides = {"ours": Path.cwd()}
    if args.against is not None:
        if not (args.against / "sim" / "commands" / "run.py").is_file():
            raise PotvitError(f"--against {args.against} is no checkout of this project")
        sides["other"] = args.against.resolve()
    require_writable(args.out)
    words = ["--model", args.model, "--config", args.config]
    before = round(os.getloadavg()[0], 2)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for name, folder in sides.items():
        simulated(folder, words)  # builds what is not kept
        print(f"{name}: {folder} is warm")
    for number in range(args.repeats):
        for name, folder in sides.items():
            found[name].append(simulated(folder, words))
            seconds = found[name][-1]["sim_seconds"]
            print(f"{number + 1} of {args.repeats}  {name:5}  {seconds} s simulated")
    report = {
        "model": args.model, "config": args.config, "machine": machine(),
        "load": {"before": before, "after": round(os.getloadavg()[0], 2)},
        **summary(found),
    }  # fmt: skip
    write_json(args.out, report)
    args.report = report
    beside = f", {report['ratio']} times the other checkout's" if report["ratio"] else ""
    print(f"{report['cycles_per_second']} cycles/s{beside}")
    print(f"report: {args.out}")
    return 0


def simulated(folder: Path, words: list[str]) -> dict[str, Any]:
    """The report of one `sim run` of the checkout in ``folder``.

    Raises:
        PotvitError: it failed, or its tensors were not all equal.
    """
    with tempfile.TemporaryDirectory(prefix="potvit-") as scratch:
        out = Path(scratch) / "run.json"
        command = [sys.executable, "-m", "sim", "run", *words, "--out", str(out)]
        environment = os.environ | {"PYTHONPATH": str(folder)}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            raise PotvitError(f"the simulation in {folder} failed: {last[0]}")
        report = json.loads(out.read_text(encoding="utf-8"))
    if not report["bit_exact"]:
        raise PotvitError(f"the simulation in {folder} was not bit-exact")
    return {field: report[field] for field in FIELDS}


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Cycles per second of both programs together, all runs, and the median of the ratios."""
    ours, other = found["ours"], found.get("other")
    speeds = [(r["cycles"] + r["checkpoint_cycles"]) / r["sim_seconds"] for r in ours]
    ratios = [b["sim_seconds"] / a["sim_seconds"] for a, b in zip(ours, other or [], strict=False)]
    return {
        "repeats": len(ours),
        "cycles": ours[0]["cycles"],
        "cycles_per_second": round(statistics.median(speeds)),
        "seconds": {name: [r["sim_seconds"] for r in runs] for name, runs in found.items()},
        "ratio": round(statistics.median(ratios), 3) if ratios else None,
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
