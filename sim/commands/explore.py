"""``python -m sim explore``: configurations for a model, by cycles and area."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden.commands.model_arguments import add_model_arguments, model_request
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.report_file import require_folder, write_json
from hw.commands.config_arguments import add_config_arguments, chosen_config
from hw.config import Config
from sim.explore.area_model import area_model
from sim.explore.confirm import cheapest, confirm
from sim.explore.evaluate import evaluate
from sim.explore.presentation import pareto_plot, sections
from sim.explore.space import Point, sweep
from sim.report.document import write
from sim.system.bundles import Network, network

REPORTS = BUILD / "explore"

#: The preset that a model's sweep starts from; `--config` chooses another.
START = {"vit_digits": "tiny"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    add_model_arguments(parser)
    add_config_arguments(parser, default=None)  # in the middle of the sweep
    parser.add_argument("--bits", default="w8a8", metavar="w8a8|w4a8|w4a4|FILE")
    parser.add_argument("--attn", choices=("log2", "half"), default="log2")
    parser.add_argument("--data", metavar="DATA", help="pictures (default: $POTVIT_DATA/photos)")
    parser.add_argument(
        "--confirm", type=int, default=1, metavar="N",
        help="points of the Pareto front to run in RTL, cheapest first (1)",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2, help="points at a time (2)")
    parser.add_argument(
        "--out", type=Path, default=REPORTS, metavar="FOLDER", help="(build/explore)"
    )


def run(args: argparse.Namespace) -> int:
    """Explore, write the report; status 1 if a confirmed point is not bit-exact."""
    if args.confirm < 0 or args.jobs < 1:
        raise PotvitError("--confirm must be at least 0 and --jobs at least 1")
    start = chosen_config(args, START.get(args.model, "base"))
    require_folder(args.out)
    model = area_model()
    net = network(model_request(args), args.bits, args.attn, data=args.data)
    name = net.model.spec.name
    report = explore(net, start, sweep(start), model, confirmed=args.confirm, jobs=args.jobs)
    bits = Path(args.bits).stem
    report = {"model": name, "bits": bits, "attn": args.attn, **report}
    write_json(args.out / f"{name}.json", report)
    args.report = report
    figure = pareto_plot(report)
    title = f"PoTViT: configurations for {name} {bits} around {start.name}"
    paths = write(args.out, name, title, sections(report, figure))
    legal = [row for row in report["points"] if "refused" not in row]
    front = [row for row in legal if row["pareto"]]
    print(f"{len(report['points'])} points, {len(legal)} legal, {len(front)} on the Pareto front")
    failed = 0
    for row in front:
        if found := row.get("confirmed"):
            failed += not found["bit_exact"]
            print(f"{row['name']}: {found['failure'] or 'bit-exact in RTL'}, {found['cycles']} "
                  f"cycles (predicted {found['predicted']})")  # fmt: skip
    for path in paths:
        print(path)
    if failed:
        print("error: a confirmed point differs from the golden model", file=sys.stderr)
    return int(failed > 0)


def explore(
    net: Network, start: Config, points: list[Point], model: Any, *, confirmed: int, jobs: int
) -> dict[str, Any]:
    """Figures of all ``points``; ``confirmed`` of the front are run in RTL.

    Raises:
        PotvitError: no point at all can run the model.
    """
    rows = evaluate(net.graph, start, points, model, jobs=jobs)
    if all("refused" in row for row in rows):
        raise PotvitError(
            f"no configuration around {start.name!r} runs this model: {rows[0]['refused']}"
        )
    sample = (net.data.evaluation or net.data.calibration)[0]
    for row in cheapest(rows, confirmed):
        row["confirmed"] = confirm(net, start, row, sample.pixels(net.model.spec.preprocess))
    reference = Point(
        rows=start.rows, cols=start.cols, lanes=start.lanes, axi_bytes=start.axi_bytes, buffers=1.0
    )
    return {
        "preset": start.name,
        "reference": reference.name,
        "weights": net.model.weights_source,
        "area_model": asdict(model),
        "points": rows,
    }
