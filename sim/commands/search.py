"""``python -m sim search``: which layers get 4-bit weights, by cycles and fidelity.

It stands in `sim`, not in `golden`, because its cost is the compiler's cycle model: the golden
model imports nothing of the hardware.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from golden.commands.model_arguments import HELP
from golden.models.request import short_name
from golden.quant import QuantOptions, quantize_pixels
from golden.quant.mixed.evolution import Candidate, Goal, Plan, Search, front
from golden.quant.mixed.sensitivity import sensitivities, traces
from golden.quant.vit.layer_weights import layer_weights
from golden.support.errors import PotvitError
from golden.support.jobs import run_jobs
from golden.support.kept import files_digest
from golden.support.locations import BUILD
from golden.support.report_file import require_writable, write_json
from hw.commands.config_arguments import add_config_arguments, chosen_config
from hw.config import Config
from sim.report.document import write
from sim.search.evaluate import cycles, measure, setting, told
from sim.search.presentation import plot, sections, write_bits

FOLDER = BUILD / "search"
ROOT = Path(__file__).parents[2]
#: Pictures that curvatures are taken from.
CURVATURE_PICTURES = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--model", default="deit_tiny", metavar="MODEL", help=HELP)
    add_config_arguments(parser)
    parser.add_argument("--budget", type=int, metavar="CYCLES", help="most cycles of a picture")
    parser.add_argument(
        "--target", type=float, metavar="PERCENT", help="least agreement, instead of a budget"
    )
    parser.add_argument("--attn", choices=("log2", "half"), default="log2")
    parser.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors or .pth")
    parser.add_argument("--data", metavar="DATA", help="pictures (default: $POTVIT_DATA/photos)")
    parser.add_argument("--calib", type=int, metavar="N", help="calibration pictures (all)")
    parser.add_argument("--population", type=int, default=16, help="measured a generation (16)")
    parser.add_argument("--generations", type=int, default=6, help="after the first (6)")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (0)")
    parser.add_argument("--jobs", type=int, default=2, help="measurements at a time (2)")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="measure on the workers of this Dask scheduler"
    )


def run(args: argparse.Namespace) -> int:
    """Search, then write report, plot and bits FILEs."""
    if (args.budget is None) == (args.target is None):
        raise PotvitError("give --budget CYCLES or --target PERCENT, one of them")
    if min(args.population, args.jobs) < 1 or args.generations < 0 or args.seed < 0:
        raise PotvitError("--population and --jobs start at 1, --generations and --seed at 0")
    config = chosen_config(args)
    name = f"{short_name(args.model)}-{config.name}"
    out = FOLDER / f"{name}.json"
    require_writable(out)
    report = search(args, config)
    write_bits(FOLDER / f"{name}-bits", report["front"])
    write_json(out, report)
    args.report = report
    for path in write(
        FOLDER, name, f"PoTViT: weight bits of {name}", sections(report, plot(report))
    ):
        print(path)
    best = report["best"]
    print(f"best: {best['cycles']} cycles, {best['agreement']:.2f} % agreement on the held half")
    print(f"report: {out}, bits files: {FOLDER / f'{name}-bits'}")
    return 0


def search(args: argparse.Namespace, config: Config) -> dict[str, Any]:
    """Everything that the report says, bits FILEs aside.

    Raises:
        PotvitError: nothing can meet the budget or the target; the message says what can be met.
    """
    code = [files_digest((ROOT / room).rglob("*.py"), ROOT) for room in ("golden", "hw")]
    where = (args.model, str(args.weights) if args.weights else None, args.data, args.calib,
             args.seed)  # fmt: skip
    model, calibration, held, _ = setting(*where)
    shown = hashlib.sha256(calibration.tobytes() + held.tobytes()).hexdigest()
    layers = layer_weights(model.module)
    names = list(layers)
    graph = quantize_pixels(model, calibration[:2], QuantOptions(attn=args.attn))
    most, least = (cycles(graph, four, config) for four in (set(), set(names)))
    if args.budget is not None and args.budget < least:
        raise PotvitError(
            f"--budget {args.budget}: with 4-bit weights in every block {args.model} still takes "
            f"{least} cycles on {config.name}"
        )
    pictures = model.spec.preprocess.normalize(calibration[:CURVATURE_PICTURES])
    harm = sensitivities(layers, traces(model.module, layers, pictures, seed=args.seed))
    plan = Plan(population=args.population, generations=args.generations, seed=args.seed)
    finder = Search(
        _savings(graph, names, most, config),
        [harm[name][4] - harm[name][8] for name in names],
        most,
        Goal(budget=args.budget, target=args.target),
        plan,
    )

    def measured(candidates: Any) -> list[Any]:
        tasks = [
            {"setting": where, "attn": args.attn, "config": told(config), "four": chosen(c),
             "made_of": [model.weights_sha256, shown, code]}
            for c in candidates
        ]  # fmt: skip
        return run_jobs(
            measure, tasks, workers=args.jobs, scheduler=args.scheduler,
            keep=FOLDER / "kept", title="measuring",
        )  # fmt: skip

    def chosen(candidate: Candidate) -> list[str]:
        return [name for name, four in zip(names, candidate, strict=True) if four]

    known = finder.run(measured)
    ends: list[Candidate] = [(False,) * len(names), (True,) * len(names)]
    known |= zip(ends, measured(ends), strict=True)
    goal = Goal(budget=args.budget, target=args.target)
    best = min(known, key=lambda c: (goal.key(known[c]), c))
    if not goal.meets(known[best]):
        top = max(found["agreement"] for found in known.values())
        fastest = min(found["cycles"] for found in known.values())
        raise PotvitError(
            f"nothing that was measured meets this: {top:.2f} % agreement at best, "
            f"{fastest} cycles at least"
        )
    rows = [{**known[c], "layers": chosen(c)} for c in front(known)]
    return {
        "model": short_name(args.model),
        "config": config.name,
        "attn": args.attn,
        "weights": model.weights_source,
        "budget": args.budget,
        "target": args.target,
        "seed": args.seed,
        "layers": len(names),
        "best": {**known[best], "layers": chosen(best)},
        "front": rows,
        "sensitivity": {n: {str(b): v for b, v in by.items()} for n, by in harm.items()},
        "measured": [known[c] for c in sorted(known)],
    }


def _savings(graph: Any, names: list[str], most: int, config: Config) -> list[float]:
    """Cycles that each layer saves at 4 bits; layers of one kind save the same."""
    kinds = {name: name.rsplit(".", 1)[-1] for name in names}
    saved = {}
    for kind in dict.fromkeys(kinds.values()):
        alike = {name for name in names if kinds[name] == kind}
        saved[kind] = (most - cycles(graph, alike, config)) / len(alike)
    return [saved[kinds[name]] for name in names]
