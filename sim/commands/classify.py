"""``python -m sim classify PICTURE``: a user's picture through the RTL, in five lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.catalogue.class_names import class_names
from golden.commands.model_arguments import add_model_arguments, model_request
from golden.data.pictures import open_photo
from golden.evaluation.evaluate import ranked
from golden.support.errors import PotvitError
from golden.support.notes import note
from hw.commands.config_arguments import add_config_arguments, chosen_config
from sim.commands.run import show, summary
from sim.system.bundles import Network, network
from sim.system.whole import simulate

#: Characters of a class name that a line has room for.
NAME = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("picture", type=Path)
    add_model_arguments(parser, position=False)
    add_config_arguments(parser)
    parser.add_argument("--bits", default="w8a8", metavar="w8a8|w4a8|w4a4|FILE")
    parser.add_argument("--attn", choices=("log2", "half"), default="log2")
    parser.add_argument(
        "--data", metavar="DATA", help="calibration pictures (default: $POTVIT_DATA/photos)"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="what was compared, cycles and stalls as well"
    )


def run(args: argparse.Namespace) -> int:
    """Print the likeliest classes; status 1 if the RTL's logits differ from the golden model's.

    What was done to the picture (turned, scaled) is told on standard error.
    """
    config, photo = chosen_config(args), open_photo(args.picture)
    sample = photo.sample(args.picture.name)
    for text in photo.notes:
        note(f"{args.picture.name}: {text}")
    net = network(model_request(args), args.bits, args.attn, data=args.data)
    if not net.model.spec.num_classes:
        raise PotvitError(f"{net.model.spec.name} has no classifier: nothing to classify with")
    pixels = sample.pixels(net.model.spec.preprocess)
    outcome = simulate(net.graph, [pixels], config, checkpoints=False)
    logits = outcome.of("plain")[0].get("logits")
    args.report = {"picture": sample.name, "failure": outcome.failure}
    if logits is not None:
        exponent = net.graph.tensors[net.graph.output].exponent
        in_rtl = percentages(np.ldexp(np.array(logits, np.float64), exponent))
        names = class_names(net.model.spec)
        print("\n".join(answer(names, in_rtl, _float(net, pixels))))
        args.report["classes"] = [
            {"class": int(i), "name": names[i], "percent": float(in_rtl[i])}
            for i in ranked(in_rtl[np.newaxis])[0]
        ]
    if args.verbose:
        show(summary(net, config, outcome) | {"images": [sample.name]}, outcome)
    if outcome.failure:
        print(f"error: {outcome.failure}", file=sys.stderr)
        return 1
    return 0


def answer(
    names: Sequence[str], in_rtl: npt.NDArray[np.float64], in_float: npt.NDArray[np.float64]
) -> list[str]:
    """A line for each of the five best places: class and percent in RTL, then in float.

    ``in_rtl`` and ``in_float`` are percentages by class; ties go to the lowest class.
    """
    best, beside = (ranked(found[np.newaxis])[0] for found in (in_rtl, in_float))
    return [
        f"{place}. {_fit(names[mine])} {in_rtl[mine]:5.1f} %   "
        f"float: {_fit(names[other])} {in_float[other]:5.1f} %"
        for place, (mine, other) in enumerate(zip(best, beside, strict=True), 1)
    ]


def percentages(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The softmax of one picture's logits, in percent."""
    powers = np.exp(logits - logits.max())
    return np.asarray(100 * powers / powers.sum(), np.float64)


def _float(net: Network, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    with torch.inference_mode():
        logits = net.model.module(net.model.spec.preprocess.normalize(pixels[np.newaxis]))
    return percentages(logits[0].double().numpy())


def _fit(name: str) -> str:
    """``name`` in exactly `NAME` characters."""
    return (name if len(name) <= NAME else name[: NAME - 3] + "...").ljust(NAME)
