"""``python -m sim fuzz``: corrupt programs never hang, never leave the window, leave no trace."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from golden.support.report_file import require_writable, write_json
from hw.commands.config_arguments import add_config_arguments, chosen_config
from sim.fuzz.campaign import FOLDER, campaign

SEED_MAX = (1 << 32) - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    add_config_arguments(parser, default="tiny")
    parser.add_argument("--number", type=int, default=2000, metavar="N", help="programs (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of programs and surroundings (0)")
    parser.add_argument("--jobs", type=int, default=2, help="simulations at a time (2)")
    parser.add_argument(
        "--out", type=Path, default=FOLDER / "summary.json", metavar="FILE",
        help="report (build/fuzz/summary.json)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Fuzz; status 1 if a program hung, left its window or spoilt the run after it."""
    config = chosen_config(args)
    if args.number < 1 or args.jobs < 1:
        raise PotvitError(f"--number and --jobs start at 1, not {min(args.number, args.jobs)}")
    if not 0 <= args.seed <= SEED_MAX:
        raise PotvitError(f"--seed is a number from 0 to {SEED_MAX}, not {args.seed}")
    require_writable(args.out)
    report = campaign(config, seed=args.seed, count=args.number, jobs=args.jobs)
    write_json(args.out, report)
    args.report = report
    show(report)
    print(args.out)
    if report["failures"]:
        print(f"error: {len(report['failures'])} programs failed", file=sys.stderr)
    return int(bool(report["failures"]))


def show(report: dict[str, Any]) -> None:
    """Print how programs ended by what was done to them, failures and totals."""
    for kind, outcomes in report["outcomes"].items():
        print(f"{kind:9}" + ", ".join(f"{name} {n}" for name, n in outcomes.items()))
    for failure in report["failures"]:
        print(f"FAILED: {failure}")
    print(
        f"{report['programs']} programs, {report['hangs']} hangs, {report['outside']} outside the "
        f"window, {report['violations']} other broken rules, "
        f"{report['restarts_exact']} of {report['restarts']} restarts exact"
    )
