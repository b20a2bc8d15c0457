"""``python -m sim run``: prove every tensor of a network in RTL and report its cycles."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from golden.catalogue.class_names import class_names
from golden.commands.model_arguments import add_model_arguments, model_request
from golden.models.request import short_name
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.progress import progress
from golden.support.report_file import require_writable, write_json
from hw.commands.config_arguments import add_config_arguments, chosen_config
from hw.config import Config
from sim.analysis.figures import figures
from sim.system.bundles import Network, network
from sim.system.harness import SIMULATORS, WAVES
from sim.system.whole import Outcome, simulate

REPORTS = BUILD / "sim"
SEED_MAX = (1 << 32) - 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    add_model_arguments(parser)
    add_config_arguments(parser)
    parser.add_argument("--bits", default="w8a8", metavar="w8a8|w4a8|w4a4|FILE")
    parser.add_argument("--attn", choices=("log2", "half"), default="log2")
    parser.add_argument("--data", metavar="DATA", help="pictures (default: $POTVIT_DATA/photos)")
    parser.add_argument(
        "--images", type=int, default=1, metavar="N",
        help="pictures, also back to back without the host (1)",
    )  # fmt: skip
    parser.add_argument(
        "--serial", action="store_true",
        help="run the program one instruction at a time as well, and compare",
    )  # fmt: skip
    parser.add_argument("--stalls", choices=("none", "random"), default="none")
    parser.add_argument("--seed", type=int, default=0, help="of the random stalls")
    parser.add_argument(
        "--waves", choices=WAVES, type=lambda word: "ports" if word == "1" else word,
        help="leave an FST beside the report: ports of all units (or 1), or all",
    )  # fmt: skip
    parser.add_argument(
        "--simulator", choices=SIMULATORS, default="verilator",
        help="icarus: four states, nothing starts defined",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="report (build/sim/...)")


def run(args: argparse.Namespace) -> int:
    """Simulate; status 1 at the first difference or error, 0 if everything is equal."""
    request, config = model_request(args), chosen_config(args)
    name = short_name(args.model)
    if args.images < 1:
        raise PotvitError(f"--images needs at least one picture, not {args.images}")
    if not 0 <= args.seed <= SEED_MAX:
        raise PotvitError(f"--seed is a number from 0 to {SEED_MAX}, not {args.seed}")
    stem = report_stem(name, Path(args.bits).stem, args.attn, config.name, args.stalls)
    out: Path = args.out or REPORTS / f"{stem}.json"
    if args.waves and out.suffix == ".fst":
        raise PotvitError(f"--out {out} is the report, and waves would go to the same file")
    require_writable(out)
    net = network(request, args.bits, args.attn, data=args.data)
    samples = (net.data.evaluation or net.data.calibration)[: args.images]
    if len(samples) < args.images:
        raise PotvitError(f"--images {args.images}: {net.data.origin} has only {len(samples)}")
    preprocess = net.model.spec.preprocess
    pictures = [s.pixels(preprocess) for s in progress(samples, "pictures")]
    outcome = simulate(
        net.graph, pictures, config, stalls=args.stalls == "random", seed=args.seed,
        serial=args.serial,
        waves=out.with_suffix(".fst") if args.waves else None,
        shown=args.waves or "ports", simulator=args.simulator,
    )  # fmt: skip
    report = summary(net, config, outcome)
    report |= {
        "model": name, "bits": Path(args.bits).stem, "attn": args.attn,
        "config": config.name, "stall_mode": args.stalls, "seed": args.seed,
    }  # fmt: skip
    report["images"] = [s.name for s in samples]
    write_json(out, report)
    args.report = report
    show(report, outcome)
    if args.data is not None:
        print("\n".join(net.data.notes()))
    if outcome.failure:
        print(f"error: {outcome.failure}", file=sys.stderr)
        return 1
    return 0


def report_stem(model: str, bits: str, attn: str, config: str, stalls: str = "none") -> str:
    """Name of a run's files; a run with stalls never replaces the plain one that others read."""
    return "-".join([model, bits, attn, config, *([stalls] if stalls != "none" else [])])


def summary(net: Network, config: Config, outcome: Outcome) -> dict[str, Any]:
    """The figures of the report, with the network's weights and classes."""
    return {
        **figures(net.graph, config, outcome),
        "weights": net.model.weights_source,
        "top5": [_top5(net, a) for a in outcome.of("plain")],
    }


def _top5(net: Network, answer: dict[str, Any]) -> list[dict[str, Any]]:
    if not net.model.spec.num_classes:
        return []  # features name no class
    logits = np.array(answer.get("logits", []), np.int64)
    names = class_names(net.model.spec)
    best = np.argsort(-logits, kind="stable")[:5]
    return [{"class": int(i), "name": names[i], "logit": int(logits[i])} for i in best]


def show(report: dict[str, Any], outcome: Outcome) -> None:
    """Print tensors, classes, cycles and speed."""
    answers = outcome.of("checkpointed") or outcome.answers
    print(f"{'tensor':26} {'elements':>10}  equal")
    for compared in answers[-1]["compared"]:
        verdict = "NO" if compared["different"] else "yes"
        print(f"{compared['tensor']:26} {compared['elements']:>10}  {verdict}")
    for name, top in zip(report["images"], report["top5"], strict=False):
        if not top:
            continue
        line = ", ".join(f"{t['name']} ({t['logit']})" for t in top)
        print(f"{name}: {line}")
    found = f"{report['tensors_checked']} of {report['tensors_expected']} tensors equal"
    if not outcome.of("checkpointed"):
        result = outcome.programs["plain"].output
        found = f"{result} differ or are missing" if outcome.failure else f"{result} equal"
    print(f"{found}, {report['elements_checked']} elements; weights: {report['weights']}")
    print(
        f"{report['cycles']} cycles (predicted {report['predicted_cycles']}), "
        f"array utilisation {report['array_utilisation']:.4f}, "
        f"{report['cycles_per_second']} cycles/s, {report['sim_seconds']} s simulated, "
        f"{report['build_seconds']} s build"
    )
    if report["pictures_together"] > 1:
        print(
            f"{report['pictures_together']} pictures without the host: "
            f"{report['cycles_per_picture']} cycles each"
        )
    if report["serial_ratio"]:
        ratios = ", ".join(f"{part} {x:.2f}" for part, x in report["serial_ratio"].items())
        print(f"one instruction at a time, cycles: {ratios} times as many")
    lost = {k: v for k, v in report["stalls"].items() if v}
    print("stalls: " + (", ".join(f"{k} {v}" for k, v in lost.items()) or "none"))
