"""``python -m golden bench MODEL [DATA]``: speed of the integer executor beside timm's fp32."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from golden.commands import quant_arguments
from golden.commands.model_arguments import model_request
from golden.evaluation.bench import compare
from golden.execute.batched import Executor
from golden.models.load import find_model, load_found
from golden.quant import quantize
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.machine import machine
from golden.support.report_file import require_writable, write_json

OUT = BUILD / "bench" / "executor.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    quant_arguments.add_arguments(parser)
    positive = quant_arguments.positive
    parser.add_argument("--limit", type=positive, default=48, metavar="N", help="pictures (48)")
    parser.add_argument("--rounds", type=positive, default=7, metavar="N", help="of each side (7)")
    parser.add_argument(
        "--threads", type=positive, nargs="+", default=[1, 2], metavar="N", help="in turn (1 2)"
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help=f"report ({OUT})")


def run(args: argparse.Namespace) -> int:
    """Quantize, time both networks alternately, write the report, print it in lines."""
    options = quant_arguments.quant_options(args)
    asked = find_model(model_request(args))
    spec = asked.spec
    if not spec.num_classes:
        raise PotvitError(f"{spec.name} has no classifier: its speed is not compared")
    data = quant_arguments.dataset(args, spec)
    calibration = quant_arguments.calibration(args, data, spec)
    require_writable(args.out)
    model = load_found(asked)
    executor = Executor(quantize(model, calibration, options, quiet=False))
    samples = list(data.evaluation or data.calibration)[: args.limit]
    pixels = np.stack([sample.pixels(spec.preprocess) for sample in samples])
    report: dict[str, Any] = {
        "model": spec.name,
        "bits": options.bits.name,
        "attn": str(options.attn),
        "weights": model.weights_source,
        "data": data.origin,
        "pictures": len(pixels),
        "rounds": args.rounds,
        "machine": machine(),
        "kernels": executor.compiled,
        "load": {"before": round(os.getloadavg()[0], 2)},
        "runs": [],
    }
    print(f"{spec.name} {options.bits.name} {options.attn}, {len(pixels)} pictures, "
          f"{args.rounds} alternating rounds on {report['machine']['processor']}")  # fmt: skip
    for found in compare(model, executor, pixels, args.threads, args.rounds):
        report["runs"].append(found.to_dict())
        report[f"ratio_{found.threads}_thread{'s' * (found.threads > 1)}"] = found.ratio
        for name, side in (("integer", found.integer), ("fp32", found.floating)):
            print(f"{found.threads} threads  {name:8} batch {side.batch:2}  {side.median:8.2f} "
                  f"pictures/s ({side.lowest:.2f} to {side.highest:.2f})")  # fmt: skip
        print(f"{found.threads} threads  integer / fp32 {found.ratio:.2f}")
    report["load"]["after"] = round(os.getloadavg()[0], 2)
    print(f"load of the machine, this comparison in it: {report['load']['after']}")
    write_json(args.out, report)
    args.report = report
    print(f"report: {args.out}")
    return 0
