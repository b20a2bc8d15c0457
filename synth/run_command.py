"""``python -m synth run``: area and timing of a configuration for one target."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.report_file import require_folder
from hw.commands.config_arguments import add_config_arguments, chosen_config

TARGETS = ("generic", "xcup", "ecp5", "asic")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_config_arguments(parser)
    parser.add_argument("--target", default="generic", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument("--unit", help="only this unit")
    parser.add_argument(
        "--liberty", type=Path, metavar="FILE",
        help="cells of your own (target generic); or a folder with corners (target asic)",
    )  # fmt: skip
    parser.add_argument(
        "--macros", type=Path, metavar="FOLDER", help="Liberty of SRAM macros (target asic)"
    )
    parser.add_argument(
        "--out", type=Path, default=BUILD / "synth", metavar="FOLDER", help="for the reports"
    )
    parser.add_argument("--jobs", type=int, default=2, help="Yosys processes at a time")


def run(args: argparse.Namespace) -> int:
    """Synthesize, write the reports, and say where they are and what matters in them."""
    if args.target not in TARGETS:
        raise PotvitError(f"unknown target {args.target!r}; one of {', '.join(TARGETS)}")
    if args.liberty and args.target not in ("generic", "asic"):
        raise PotvitError(f"a Liberty file needs target generic or asic, not {args.target}")
    if args.macros and args.target != "asic":
        raise PotvitError(f"macros need target asic, not {args.target}")
    if args.target == "asic" and not args.liberty:
        raise PotvitError("target asic needs a library: --liberty FILE or FOLDER")
    if args.jobs < 1:
        raise PotvitError(f"--jobs must be at least 1, got {args.jobs}")
    config = chosen_config(args)
    require_folder(args.out)
    from synth.report import write_report

    start = time.monotonic()
    report, text = _report(args, config)
    report["seconds"] = round(time.monotonic() - start, 1)
    args.report = report
    name = "-".join(filter(None, [config.name, args.target, args.unit]))
    for path in write_report(args.out, name, report, text):
        print(path)
    return 0


def _report(args: argparse.Namespace, config: Any) -> tuple[dict[str, Any], str]:
    """The target's report and its Markdown."""
    if args.target == "generic":
        from synth.generic_target import generic_report
        from synth.report import area_markdown

        report = generic_report(config, unit=args.unit, liberty=args.liberty, jobs=args.jobs)
        per_mac = report["kge_per_mac"]
        print(
            f"{report['totals']['area']:,.0f} {report['area_unit']}"
            + (f", {per_mac:.3f} kGE per MAC" if per_mac and not args.unit else "")
            + f", {report['sram_bits']:,} memory bits"
        )
        return report, area_markdown(report)
    if args.target == "xcup":
        from synth.xcup import xcup_markdown, xcup_report

        report = xcup_report(config, unit=args.unit, jobs=args.jobs)
        per_mac = report["dsp_per_mac"]
        print(
            ", ".join(f"{n:,} {kind}" for kind, n in report["totals"].items())
            + (f", {per_mac:.3f} DSP per MAC" if per_mac is not None else "")
        )
        return report, xcup_markdown(report)
    if args.target == "asic":
        from synth.asic.target import asic_markdown, asic_report

        report = asic_report(
            config, unit=args.unit, liberty=args.liberty, macros=args.macros, jobs=args.jobs
        )
        fmax = report["fmax_mhz"] or {}
        print(", ".join(
            [f"{report['mm2_logic']:.4f} mm2 of logic",
             *(f"{corner} {mhz:.1f} MHz" for corner, mhz in fmax.items() if mhz)]
        ))  # fmt: skip
        return report, asic_markdown(report)
    from synth.ecp5 import ecp5_markdown, ecp5_report

    report = ecp5_report(config, unit=args.unit)
    print(f"{report['part']}: {report['fmax_mhz']:.1f} MHz")
    return report, ecp5_markdown(report)
