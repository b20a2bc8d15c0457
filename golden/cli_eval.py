"""``python -m golden eval MODEL DATA``: accuracy, agreement, speed and the fidelity ledger."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden import quant_arguments
from golden.data import batches
from golden.evaluate import Accuracy, evaluate
from golden.executor import Executor
from golden.ledger import PICTURES, ledger
from golden.models import load_model
from golden.quant import quantize
from golden.report_file import write_json

FOLDER = Path("build/eval")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line; the flags are those of FQ-ViT's evaluation."""
    quant_arguments.add_arguments(parser)
    parser.add_argument(
        "--quant", action="store_true", help="run the integer network (else only float)"
    )
    parser.add_argument("--ptf", action="store_true", help="power-of-two factors on the residual")
    parser.add_argument(
        "--lis", action="store_true", help="Log-Int-Softmax (else uint8 uniform attention)"
    )
    parser.add_argument("--batch", type=_positive, default=16, help="pictures at a time (16)")
    parser.add_argument("--limit", type=int, metavar="N", help="evaluation pictures (all)")
    parser.add_argument("--device", default="cpu", help="torch device of both networks")
    parser.add_argument("--out", type=Path, metavar="FILE", help="report (build/eval/...)")


def run(args: argparse.Namespace) -> int:
    """Quantize, evaluate, write the report and print its table."""
    options = quant_arguments.quant_options(args, ptf=args.ptf, lis=args.lis)
    model = load_model(args.model, args.weights)
    data = quant_arguments.dataset(args, model.spec)
    samples = data.eval_samples(args.limit)
    bits, attn = ("fp32", None)
    report_options: dict[str, Any] | None = None
    executor = None
    if args.quant:
        calibration = data.calib(args.calib)
        graph = quantize(model, calibration, options, quiet=False)
        executor = Executor(graph, args.device)
        bits, attn = options.bits.name, options.attn if args.lis else "uniform"
        report_options = options.to_dict() | {"calibration": len(calibration)}
    accuracy = evaluate(model, executor, samples, args.batch, "evaluating")
    name = f"{args.model}-{bits}" + (f"-{attn}" if attn else "")
    report = {
        "model": args.model,
        "bits": bits,
        "attn": attn,
        "weights": model.weights_source,
        **asdict(accuracy),
        "weights_sha256": model.weights_sha256,
        "data": data.origin,
        "preprocess": model.spec.preprocess.to_dict(),
        "options": report_options,
        "ledger": [],
    }
    if executor is not None:
        pixels, _ = next(iter(batches(samples[:PICTURES], model.spec.preprocess, PICTURES)))
        model.module.to("cpu")
        report["ledger"] = ledger(model, executor, pixels)
    out = args.out or FOLDER / f"{name}.json"
    write_json(out, report)
    print(table(name, model.weights_source, accuracy, report["ledger"]))
    print(f"report: {out}")
    return 0


def table(name: str, weights: str, accuracy: Accuracy, entries: list[dict[str, Any]]) -> str:
    """A short table for a person."""
    lines = [f"{name} (weights: {weights}), {accuracy.images} pictures"]
    header = f"{'':10}{'top-1 %':>9}{'top-5 %':>9}{'agree %':>9}{'images/s':>10}"
    lines.append(header)
    fp, a = accuracy.fp_images_per_second, accuracy
    lines.append(f"{'fp32':10}{a.fp_top1:9.2f}{a.fp_top5:9.2f}{'':9}{fp:10.1f}")
    if a.int_top1 is not None:
        lines.append(
            f"{'integer':10}{a.int_top1:9.2f}{a.int_top5:9.2f}{a.agreement:9.2f}"
            f"{a.images_per_second:10.1f}"
        )
    lossy = [entry for entry in entries if entry["sqnr_db"] is not None]
    worst = sorted(lossy, key=lambda entry: float(entry["sqnr_db"]))[:5]
    if worst:
        lines.append("lowest SQNR: " + ", ".join(f"{e['tensor']} {e['sqnr_db']} dB" for e in worst))
    return "\n".join(lines)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
