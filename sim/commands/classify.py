"""``python -m sim classify PICTURE``: a user's picture through the RTL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from golden.data.pictures import open_photo
from hw.config import preset
from sim.commands.run import show, summary
from sim.system.bundles import network
from sim.system.whole import simulate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model", default="deit_tiny", metavar="MODEL")
    parser.add_argument("--config", default="base", metavar="CONFIG")
    parser.add_argument("--bits", default="w8a8", metavar="w8a8|w4a8|FILE")
    parser.add_argument("--attn", choices=("log2", "half"), default="log2")
    parser.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors or .pth")
    parser.add_argument(
        "--data", metavar="DATA", help="calibration pictures (default: $POTVIT_DATA/photos)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the five likeliest classes; status 1 if the RTL's logits differ from the golden."""
    config, photo = preset(args.config), open_photo(args.picture)
    sample = photo.sample(args.picture.name)
    net = network(args.model, args.bits, args.attn, args.weights, args.data)
    pixels = sample.pixels(net.model.spec.preprocess)
    outcome = simulate(net.graph, [pixels], config, checkpoints=False)
    report = summary(net, config, outcome) | {"images": [sample.name]}
    show(report, outcome)
    if outcome.failure:
        print(f"error: {outcome.failure}", file=sys.stderr)
        return 1
    return 0
