"""Command-line arguments that choose a model, its pictures and its quantization."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from golden.data import Dataset, default_data, open_dataset
from golden.models import ModelSpec
from golden.ops.softmax import ExpForm
from golden.quant import QuantOptions, bit_map
from golden.quant.observers import METHODS
from golden.quant.options import RULES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `eval` and `export` share."""
    parser.add_argument("model", metavar="MODEL", help="deit_tiny, vit_digits, ...")
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="folder with labels.csv or with train/ and val/ (default: $POTVIT_DATA/photos)",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors or .pth")
    parser.add_argument("--calib", type=int, metavar="N", help="calibration pictures (all)")
    parser.add_argument(
        "--quant-method", choices=METHODS, default=QuantOptions.method, help="observer"
    )
    parser.add_argument(
        "--bits", default="w8a8", metavar="w8a8|w4a8|FILE", help="weight bits of each layer"
    )
    parser.add_argument(
        "--attn", choices=("log2", "half"), default="log2", help="4-bit or 5-bit half-step codes"
    )
    parser.add_argument(
        "--exp", choices=[form.value for form in ExpForm], default="base2", help="exponential"
    )
    parser.add_argument("--rule", choices=RULES, default="auto", help="code thresholds")


def quant_options(args: argparse.Namespace, *, ptf: bool = True, lis: bool = True) -> QuantOptions:
    """The quantizer's options; without ``lis`` attention stays uniform, as in FQ-ViT."""
    options = QuantOptions(
        method=args.quant_method,
        bits=bit_map(args.bits),
        attn=args.attn if lis else "none",
        exp=ExpForm(args.exp),
        ptf=ptf,
    )
    return replace(options, rule=args.rule) if lis else options


def dataset(args: argparse.Namespace, spec: ModelSpec) -> Dataset:
    """The pictures that the arguments name, or the model's default ones."""
    return open_dataset(args.data if args.data is not None else default_data(spec), spec)
