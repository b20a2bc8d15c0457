"""``python -m golden eval MODEL DATA``: accuracy, agreement, speed and the fidelity ledger."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden.catalogue.models import model_spec
from golden.commands import quant_arguments
from golden.data.pictures import batches
from golden.evaluation.evaluate import Accuracy, evaluate
from golden.evaluation.ledger import PICTURES, ledger
from golden.execute.batched import Executor, usable_device
from golden.models.load import load_model
from golden.quant import quantize
from golden.quant.learn.defaults import FOLDER as KEPT
from golden.support.machine import machine
from golden.support.report_file import require_writable, write_json

FOLDER = Path("build/eval")
#: What becomes of a camera's rotation mark; reports repeat it.
EXIF = "not applied, as ImageNet tools leave it (classify applies it)"


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
    positive = quant_arguments.positive
    parser.add_argument(
        "--batch", "--val-batchsize", type=positive, default=16, help="pictures at a time (16)"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="evaluation pictures (all)")
    parser.add_argument("--device", default="cpu", help="torch device of both networks (cpu)")
    parser.add_argument(
        "--num-workers", type=quant_arguments.natural, default=1, help="decoding threads (1)"
    )
    parser.add_argument(
        "--print-freq", type=positive, metavar="N", help="accuracy so far, every N batches (never)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="report (build/eval/...)")


def run(args: argparse.Namespace) -> int:
    """Quantize, evaluate, write the report and print its table."""
    options = quant_arguments.quant_options(args, ptf=args.ptf, lis=args.lis)
    spec, device = model_spec(args.model), usable_device(args.device)
    data = quant_arguments.dataset(args, spec)
    samples = data.eval_samples(args.limit)
    calibration = quant_arguments.calibration(args, data, spec) if args.quant else []
    bits, attn = ("fp32", None)
    if args.quant:
        bits, attn = options.bits.name, options.attn if args.lis else "uniform"
    name = f"{args.model}-{bits}" + (f"-{attn}" if attn else "")
    out = args.out or FOLDER / f"{name}.json"
    require_writable(out)
    model = load_model(args.model, args.weights)
    report_options: dict[str, Any] | None = None
    executor = None
    if args.quant:
        options, more = quant_arguments.learning(args, options, model)
        graph = quantize(model, calibration, options, more=more, keep=KEPT, quiet=False)
        executor = Executor(graph, args.device)
        report_options = options.to_dict() | {
            "calibration": len(calibration),
            "learned_from_also": len(more),
        }
    accuracy = evaluate(
        model,
        executor,
        samples,
        args.batch,
        "evaluating",
        device=device,
        workers=max(1, args.num_workers),
        print_every=args.print_freq,
    )
    report = {
        "model": args.model,
        "bits": bits,
        "attn": attn,
        "weights": model.weights_source,
        **asdict(accuracy),
        "machine": machine(),
        "weights_sha256": model.weights_sha256,
        "data": data.origin,
        "labels": data.labels,
        "skipped": list(data.skipped),
        "exif_rotation": EXIF,
        "preprocess": spec.preprocess.to_dict(),
        "options": report_options,
        "ledger": [],
    }
    if executor is not None:
        pixels, _ = next(iter(batches(samples[:PICTURES], spec.preprocess, PICTURES)))
        model.module.to("cpu")
        report["ledger"] = ledger(model, executor, pixels)
    write_json(out, report)
    print(table(name, model.weights_source, accuracy, report["ledger"]))
    print("\n".join(data.notes()))
    print(f"EXIF rotation: {EXIF}")
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
