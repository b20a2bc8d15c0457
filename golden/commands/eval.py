"""``python -m golden eval MODEL DATA``: accuracy, agreement, speed and the fidelity ledger."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden.commands import quant_arguments
from golden.commands.model_arguments import model_request
from golden.data.pictures import batches
from golden.evaluation.evaluate import Accuracy, evaluate
from golden.evaluation.features import Likeness, compare_features
from golden.evaluation.ledger import PICTURES, ledger
from golden.execute.batched import Executor, usable_device
from golden.models.load import find_model, load_found
from golden.quant import quantize
from golden.quant.learn.defaults import FOLDER as KEPT
from golden.support.errors import PotvitError
from golden.support.locations import BUILD
from golden.support.machine import machine
from golden.support.report_file import require_writable, write_json

FOLDER = BUILD / "eval"
#: What becomes of a camera's rotation mark; reports repeat it.
EXIF = "not applied, as ImageNet tools leave it (classify applies it)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line; the flags are those of FQ-ViT's evaluation."""
    quant_arguments.add_arguments(parser)
    parser.add_argument("--float", action="store_true", help="only the float network")
    group = parser.add_argument_group(
        "FQ-ViT", "any of them: the integer network with exactly these parts (default: with both)"
    )
    group.add_argument("--quant", action="store_true", help="neither of the others")
    group.add_argument("--ptf", action="store_true", help="power-of-two factors on the residual")
    group.add_argument(
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
    _choose_parts(args)
    options = quant_arguments.quant_options(args, ptf=args.ptf, lis=args.lis)
    found, device = find_model(model_request(args)), usable_device(args.device)
    spec = found.spec
    data = quant_arguments.dataset(args, spec)
    if not spec.num_classes and not args.quant:
        raise PotvitError(f"{spec.name} has no classifier: without --float features are compared")
    samples = data.eval_samples(args.limit) if spec.num_classes else data.pictures(args.limit)
    calibration = quant_arguments.calibration(args, data, spec) if args.quant else []
    bits, attn = ("fp32", None)
    if args.quant:
        bits, attn = options.bits.name, options.attn if args.lis else "uniform"
    name = f"{spec.name}-{bits}" + (f"-{attn}" if attn else "")
    out = args.out or FOLDER / f"{name}.json"
    require_writable(out)
    model = load_found(found)
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
    workers = max(1, args.num_workers)
    measured: Accuracy | Likeness
    if executor is not None and not spec.num_classes:
        measured = compare_features(model, executor, samples, args.batch, "evaluating", workers)
    else:
        measured = evaluate(
            model,
            executor,
            samples,
            args.batch,
            "evaluating",
            device=device,
            workers=workers,
            print_every=args.print_freq,
        )
    report = {
        "model": spec.name,
        "bits": bits,
        "attn": attn,
        "weights": model.weights_source,
        **asdict(measured),
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
    args.report = report
    print(table(name, model.weights_source, measured, report["ledger"]))
    print("\n".join(data.notes()))
    print(f"EXIF rotation: {EXIF}")
    print(f"report: {out}")
    return 0


def _choose_parts(args: argparse.Namespace) -> None:
    """Make ``quant``, ``ptf`` and ``lis`` say what is run: all, or what FQ-ViT's flags name."""
    asked = args.quant or args.ptf or args.lis
    if args.float and asked:
        raise PotvitError("--float runs no integer network: drop it or --quant, --ptf and --lis")
    for flag in ("calib", "calib_batchsize", "calib_iter", "learn", "pictures"):
        if args.float and getattr(args, flag) is not None:
            raise PotvitError(
                f"--float has no use for --{flag.replace('_', '-')}: drop one of them"
            )
    if not asked:
        args.ptf = args.lis = not args.float
    args.quant = not args.float


def table(
    name: str, weights: str, measured: Accuracy | Likeness, entries: list[dict[str, Any]]
) -> str:
    """A short table for a person."""
    lines = [f"{name} (weights: {weights}), {measured.images} pictures"]
    if isinstance(measured, Accuracy):
        lines += _accuracy_lines(measured)
    else:
        lines += _likeness_lines(measured)
    lossy = [entry for entry in entries if entry["sqnr_db"] is not None]
    worst = sorted(lossy, key=lambda entry: float(entry["sqnr_db"]))[:5]
    if worst:
        lines.append("lowest SQNR: " + ", ".join(f"{e['tensor']} {e['sqnr_db']} dB" for e in worst))
    return "\n".join(lines)


def _accuracy_lines(a: Accuracy) -> list[str]:
    lines = [f"{'':10}{'top-1 %':>9}{'top-5 %':>9}{'agree %':>9}{'images/s':>10}"]
    lines.append(f"{'fp32':10}{a.fp_top1:9.2f}{a.fp_top5:9.2f}{'':9}{a.fp_images_per_second:10.1f}")
    if a.int_top1 is not None:
        lines.append(
            f"{'integer':10}{a.int_top1:9.2f}{a.int_top5:9.2f}{a.agreement:9.2f}"
            f"{a.images_per_second:10.1f}"
        )
    return lines


def _likeness_lines(likeness: Likeness) -> list[str]:
    lines = [f"{'cosine to fp32':16}{'mean':>9}{'least':>9}"]
    for name, mean, least in (
        ("class token", likeness.class_cosine, likeness.class_cosine_least),
        ("patch tokens", likeness.patch_cosine, likeness.patch_cosine_least),
    ):
        if mean is not None:
            lines.append(f"{name:16}{mean:9.4f}{least:9.4f}")
    return lines
