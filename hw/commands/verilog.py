"""``python -m hw verilog``: the accelerator's Verilog and its description."""

import argparse
from pathlib import Path

from golden.support.locations import BUILD
from golden.support.report_file import require_folder
from hw.commands.config_arguments import add_config_arguments, chosen_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_config_arguments(parser)
    parser.add_argument(
        "--out", type=Path, help="folder (default build/verilog/<config>)", metavar="FOLDER"
    )


def run(args: argparse.Namespace) -> int:
    """Generate, write, and say what was written."""
    config = chosen_config(args)
    from hw.top.verilog import generate, write

    folder = args.out or BUILD / "verilog" / config.name
    require_folder(folder)
    design = generate(config)
    args.report = design.description
    for path in write(design, folder):
        print(path)
    kib = sum(design.description["memories"].values()) / 1024
    print(f"{config.macs} MACs, {kib:.0f} KiB on chip, sha256 {design.description['sha256'][:16]}")
    return 0
