"""``python -m sim report``: one page on a run from the JSON files of build/."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from golden.commands.model_arguments import HELP
from golden.models.request import short_name
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from hw.commands.config_arguments import add_config_arguments, chosen_config
from sim.report.document import write
from sim.report.inputs import gather
from sim.report.sections import all_sections
from sim.report.summary import GIVEN_MHZ

REPORTS = BUILD / "report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--model", default="deit_tiny", metavar="MODEL", help=HELP)
    add_config_arguments(parser)
    parser.add_argument("--bits", default="w8a8", metavar="w8a8|w4a8|w4a4|FILE")
    parser.add_argument("--attn", choices=("log2", "half"), default="log2")
    parser.add_argument(
        "--mhz",
        type=float,
        default=GIVEN_MHZ,
        help=f"clock to assume beside those reached ({GIVEN_MHZ:g})",
    )
    parser.add_argument(
        "--out", type=Path, default=REPORTS, metavar="FOLDER", help="(build/report)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page; status 2 if there is nothing at all to report."""
    model, config = short_name(args.model), chosen_config(args).name
    if not 0 < args.mhz < 1e5:
        raise PotvitError(f"--mhz must be a clock in MHz, not {args.mhz:g}")
    bits = Path(args.bits).stem
    inputs = gather(model, bits, args.attn, config)
    for line in inputs.missing.values():
        print(line)
    if inputs.sim is None and inputs.area is None:
        raise PotvitError(f"nothing to report on {model} and {config}: run the targets above first")
    stem = f"{model}-{bits}-{args.attn}-{config}"
    title = f"PoTViT: {model} {bits} {args.attn} on {config}"
    try:
        sections = all_sections(inputs, args.mhz)
    except KeyError as error:
        raise PotvitError(
            f"a JSON file in {BUILD} is of another version (no {error}): run its target again"
        ) from None
    written = write(args.out, stem, title, sections)
    args.report = {
        "model": model, "bits": bits, "attn": args.attn, "config": config, "mhz": args.mhz,
        "files": [str(path) for path in written], **asdict(inputs),
    }  # fmt: skip
    for path in written[:2]:
        print(path)
    return 0
