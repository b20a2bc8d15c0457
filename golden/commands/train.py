"""``python -m golden train MODEL DATA``: quantization-aware fine-tuning of a float network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from golden.commands import quant_arguments
from golden.commands.model_arguments import model_request
from golden.data.pictures import Sample
from golden.evaluation.evaluate import evaluate
from golden.execute.batched import Executor, usable_device
from golden.execute.gemm import require_exact_float32
from golden.graph import ir
from golden.graph.bundle import save_bundle
from golden.models.load import LoadedModel, find_model, load_found
from golden.quant.build import starting_point
from golden.quant.learn.defaults import more_pictures
from golden.quant.learn.state import fingerprint
from golden.quant.learn.workers import workers
from golden.quant.options import QuantOptions
from golden.support.errors import PotvitError
from golden.support.kept import files_digest
from golden.support.locations import BUILD
from golden.support.machine import machine
from golden.support.progress import Meter
from golden.support.report_file import require_folder, write_json, write_text
from golden.training import quantized
from golden.training.checkpoint import State, read_state, write_state
from golden.training.curves import curve
from golden.training.options import TrainOptions
from golden.training.quantized import Training

FOLDER = BUILD / "train"
SOURCES = Path(quantized.__file__).parent
#: Names of what a run's folder holds.
CHECKPOINT, REPORT, CURVE, BUNDLE = "checkpoint.safetensors", "report.json", "curve.svg", "bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line; what is quantized and how is as for `eval` and `export`."""
    quant_arguments.add_arguments(parser)
    group, default = parser.add_argument_group("training"), TrainOptions()
    positive = quant_arguments.positive
    for name, kind, text in (
        ("epochs", positive, "passes over the pictures"),
        ("lr", float, "learning rate of 4-bit weights, in their last place"),
        ("weight-decay", float, "share of a weight taken off per unit of its rate"),
        ("batch", positive, "pictures per step"),
        ("hard", float, "what labels count for beside the float network"),
        ("pull", float, "what a saturated residual stream counts for"),
    ):
        value = getattr(default, name.replace("-", "_"))
        group.add_argument(f"--{name}", type=kind, default=value, help=f"{text} ({value})")
    group.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    group.add_argument("--limit", type=positive, metavar="N", help="evaluation pictures (all)")
    group.add_argument("--device", default="cpu", help="torch device that trains (cpu)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder (build/train/...)")


def run(args: argparse.Namespace) -> int:
    """Calibrate, train, prove and evaluate; the folder then holds bundle, report and curve."""
    if args.learn is not None:
        raise PotvitError("train begins where calibration ends: drop --learn")
    options = quant_arguments.quant_options(args)
    settings = _settings(args)
    found, device = find_model(model_request(args)), usable_device(args.device)
    require_exact_float32(device)
    spec = found.spec
    data = quant_arguments.dataset(args, spec)
    shown = data.eval_samples(args.limit) if data.evaluation else []
    calibration = quant_arguments.calibration(args, data, spec)
    out = args.out or FOLDER / f"{spec.name}-{options.bits.name}-{options.attn}"
    require_folder(out)
    model = load_found(found)
    more = more_pictures(model, args.pictures, args.seed)
    samples = [*calibration, *more]
    if settings.hard and all(sample.label < 0 for sample in samples):
        raise PotvitError(f"--hard needs labels, and the pictures of {data.origin} have none")
    graph, state = _train(args, model, options, settings, samples, len(calibration), out)
    meta = {
        **graph.meta,
        "calibration": [sample.name for sample in calibration],
        "learned_from_also": [sample.name for sample in more],
        "data": data.origin,
        "streams": [],
        "training": asdict(settings),
    }
    graph = replace(graph, meta=meta)
    save_bundle(graph, out / BUNDLE)
    report: dict[str, Any] = {
        "model": spec.name,
        "bits": options.bits.name,
        "attn": options.attn,
        "weights": model.weights_source,
        "data": data.origin,
        "pictures": {"calibration": len(calibration), "unlabelled": len(more)},
        "training": asdict(settings),
        "options": options.to_dict(),
        "history": state.history,
        "best": state.best,
        "equal_logits": len(samples),
        "evaluated": _measured(model, graph, shown),
        "machine": machine(),
    }
    title = f"{spec.name} {options.bits.name} {options.attn}"
    write_text(out / CURVE, curve(state.history, state.best, title))
    write_json(out / REPORT, report)
    args.report = report
    print(_table(report))
    print(f"logits of the bundle equal the trained ones on {len(samples)} pictures")
    print(f"bundle, report and curve: {out}")
    return 0


def _settings(args: argparse.Namespace) -> TrainOptions:
    return TrainOptions(
        epochs=args.epochs,
        lr=args.lr,
        weight_decay=args.weight_decay,
        batch=args.batch,
        hard=args.hard,
        pull=args.pull,
        seed=args.seed,
    )


def _train(
    args: argparse.Namespace,
    model: LoadedModel,
    options: QuantOptions,
    settings: TrainOptions,
    samples: Sequence[Sample],
    calibration: int,
    out: Path,
) -> tuple[ir.Graph, State]:
    """The best epoch's graph and the run's last state; a checkpoint after every epoch."""
    preprocess = model.spec.preprocess
    pixels = np.stack([sample.pixels(preprocess) for sample in samples])
    labels = np.array([sample.label for sample in samples], np.int64)
    start = starting_point(model, pixels[:calibration], options, quiet=False)
    decided = asdict(options) | asdict(settings) | {"device": args.device}
    decided["sources"] = files_digest(SOURCES.glob("*.py"), SOURCES)
    name, path = fingerprint(start.graph, pixels, decided), out / CHECKPOINT
    with workers(max(int(np.prod(t.shape)) for t in start.graph.tensors.values())) as pool:
        teacher = pool.each(
            lambda i: model.module(preprocess.normalize(pixels[i.numpy()])), len(pixels)
        )
        training = Training(
            start.graph, start.wanted, pixels, teacher, labels, settings, pool,
            function=start.function, device=args.device,
        )  # fmt: skip
        if args.resume:
            state = read_state(path, name)
            training.restore(state)
        else:
            state = training.begin(name)
            write_state(path, state)
        with Meter("training", training.steps) as meter:

            def tell(step: int, loss: float) -> None:
                meter.call(f"training, loss {loss:.4f}")
                meter.to(step)

            while state.epoch < settings.epochs:
                training.epoch(state, tell)
                write_state(path, state)
        return training.result(state), state


def _measured(
    model: LoadedModel, graph: ir.Graph, samples: Sequence[Sample]
) -> dict[str, Any] | None:
    """Accuracy of float and trained network, without speeds; None without labelled pictures."""
    if not samples:
        return None
    with torch.inference_mode():
        found = evaluate(model, Executor(graph), samples, title="evaluating")
    wanted = ("images", "fp_top1", "fp_top5", "int_top1", "int_top5", "agreement")
    return {name: getattr(found, name) for name in wanted}


def _table(report: dict[str, Any]) -> str:
    history, best, found = report["history"], report["best"], report["evaluated"]
    lines = [
        f"{report['model']} {report['bits']} {report['attn']}: loss of a picture "
        f"{history[0]['objective']:.5f} as calibrated, {history[best]['objective']:.5f} after "
        f"epoch {best}, which is kept"
    ]
    if found is not None:
        lines.append(
            f"top-1 {found['int_top1']:.2f} % (float {found['fp_top1']:.2f} %), same top-1 "
            f"{found['agreement']:.2f} %, {found['images']} pictures"
        )
    return "\n".join(lines)
