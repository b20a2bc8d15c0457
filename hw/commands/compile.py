"""``python -m hw compile``: an integer bundle to a program, with its schedule and prediction."""

from __future__ import annotations

import argparse
from pathlib import Path

from golden.graph.bundle import load_bundle
from golden.support.errors import PotvitError
from hw.commands.config_arguments import add_config_arguments, chosen_config
from hw.compiler.build import compile_graph
from hw.config import Config
from hw.program.file import save_program
from hw.program.program import Program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    add_config_arguments(parser)
    parser.add_argument(
        "--checkpoints", action="store_true", help="store every tensor of the graph to DRAM"
    )
    parser.add_argument(
        "--blocks", type=int, metavar="N", help="token blocks (default: the cost model's choice)"
    )
    parser.add_argument(
        "--serial", action="store_true", help="one instruction at a time, for comparison"
    )
    parser.add_argument(
        "--pictures", type=int, default=1, metavar="N",
        help="pictures in one run, without the host in between (1)",
    )  # fmt: skip
    parser.add_argument(
        "--explain", action="store_true", help="say what was compared and where tensors live"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the program there (NAME.potvit)"
    )


def run(args: argparse.Namespace) -> int:
    """Compile, print the schedule, write the program if asked."""
    config = chosen_config(args)
    if args.blocks is not None and args.blocks < 1:
        raise PotvitError(f"--blocks must be at least 1, not {args.blocks}")
    graph = load_bundle(args.bundle)
    if args.pictures < 1 or (args.pictures > 1 and args.checkpoints):
        raise PotvitError(
            f"--pictures {args.pictures}: "
            + ("at least one" if args.pictures < 1 else "--checkpoints are of one picture")
        )
    program = compile_graph(
        graph, config, checkpoints=args.checkpoints, blocks=args.blocks, serial=args.serial,
        pictures=args.pictures,
    )  # fmt: skip
    args.report = program.description()
    print("\n".join(summary(program, config)))
    if args.explain:
        print("\n".join(["", *program.reasons]))
    if args.out is not None:
        save_program(program, args.out)
        print(f"written to {args.out}")
    return 0


def summary(program: Program, config: Config) -> list[str]:
    """The schedule in lines: layers, units, memories, DRAM."""
    lines = [
        f"{program.model or 'network'} on {config.name}: {program.count} instructions, "
        f"{program.blocks} token block{'s' * (program.blocks != 1)}, "
        f"{len(program.checkpoints)} checkpoints",
        "",
        f"{'layer':<24}{'cycles':>12}{'array busy':>12}{'idle':>8}{'MACs':>16}",
    ]
    for layer in program.layers:
        idle = layer.cycles - layer.array_busy
        lines.append(
            f"{layer.name:<24}{layer.cycles:>12,}{layer.array_busy:>12,}{idle:>8,}{layer.macs:>16,}"
        )
    lines += [
        f"{'total':<24}{program.cycles:>12,}",
        "",
        f"predicted array utilisation {program.utilisation:.4f} "
        f"({program.macs:,} useful MACs, {program.peak_macs} per cycle)",
        "",
        f"{'unit':<10}{'busy':>12}{'share':>8}   longest waits for",
    ]
    for unit, busy in program.busy.items():
        waits = {k.removeprefix(f"{unit} for "): n for k, n in program.waits.items()
                 if k.startswith(f"{unit} for ")}  # fmt: skip
        longest = sorted(waits.items(), key=lambda item: -item[1])[:3]
        text = ", ".join(f"{cause} {cycles:,}" for cause, cycles in longest)
        lines.append(f"{unit:<10}{busy:>12,}{busy / program.cycles:>8.1%}   {text}")
    lines += ["", f"{'buffer':<10}{'words used':>12}{'of':>10}"]
    for name, (used, have) in program.memory.items():
        lines.append(f"{name:<10}{used:>12,}{have:>10,}")
    lines += [
        "",
        f"DRAM window {program.window:,} bytes: parameters {program.entry:,}, program "
        f"{len(program.image) - program.entry:,}, picture {program.input_bytes:,} at "
        f"{program.input_offset:#x}, logits at {program.logits.offset:#x}",
    ]
    return lines
