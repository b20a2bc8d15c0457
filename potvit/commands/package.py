"""``potvit package``: a folder that drops into a hardware project."""

from __future__ import annotations

import argparse
from pathlib import Path

from golden.commands.model_arguments import add_model_arguments, model_request
from golden.models.request import short_name
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from hw.commands.config_arguments import add_config_arguments, chosen_config
from hw.config import Config
from hw.program.program import Program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    add_model_arguments(parser, position=False, default=None)
    add_config_arguments(parser)
    parser.add_argument(
        "--bits", metavar="w8a8|w4a8|w4a4|FILE", help="of the model's weights (w8a8)"
    )
    parser.add_argument("--attn", choices=("log2", "half"), help="the model's codes (log2)")
    parser.add_argument(
        "--data", metavar="DATA", help="calibration pictures (default: $POTVIT_DATA/photos)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder (default build/package/<config>)"
    )


def run(args: argparse.Namespace) -> int:
    """Compile the model if there is one, write the package, and say what was written."""
    config = chosen_config(args)
    _require_model(args)
    from golden.support.atomic_folder import AtomicFolder
    from hw.package.derive import require_peakrdl
    from hw.package.write import MARKER, write_package
    from sim.simulator.generated import generated

    require_peakrdl()
    folder = args.out or BUILD / "package" / config.name
    AtomicFolder(folder, marker=MARKER).check()
    programs = {} if args.model is None else _compiled(args, config)
    design = generated(config)
    written = write_package(design, config, folder, programs)
    args.report = {
        "folder": str(folder),
        "files": [str(path.relative_to(folder)) for path in written],
        "config": design.description["config"],
        "digest": config.digest,
        "sha256": design.description["sha256"],
    }
    for path in written:
        print(path)
    print(f"{folder}: read README.md there")
    return 0


def _require_model(args: argparse.Namespace) -> None:
    """Refuse what says something of a model where there is none."""
    names = ("weights", "classes", "img_size", "crop_pct", "interpolation", "mean", "std",
             "features", "model_kwargs", "bits", "attn", "data")  # fmt: skip
    given = [name for name in names if getattr(args, name)]
    if args.model is None and given:
        flag = given[0].replace("_", "-")
        raise PotvitError(f"--{flag} is about a model: name one with --model, or drop it")


def _compiled(args: argparse.Namespace, config: Config) -> dict[str, Program]:
    """The program of ``--model``, by the name of its file."""
    from hw.compiler import compile_graph
    from sim.system.bundles import network

    bits, attn = args.bits or "w8a8", args.attn or "log2"
    net = network(model_request(args), bits, attn, data=args.data)
    name = f"{short_name(args.model)}-{Path(bits).stem}-{attn}"
    return {name: compile_graph(net.graph, config)}
