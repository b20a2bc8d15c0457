"""Accuracy and speed of the integer network beside the float one, on the same pixels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from golden.data.pictures import Sample, batches
from golden.execute.batched import Executor
from golden.models.load import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Percent of the pictures, and pictures per second of each network alone.

    The integer fields are None where only the float network ran.
    """

    images: int
    fp_top1: float
    fp_top5: float
    int_top1: float | None
    int_top5: float | None
    agreement: float | None
    images_per_second: float | None
    fp_images_per_second: float


def ranked(logits: npt.NDArray[Any], count: int = 5) -> npt.NDArray[np.int64]:
    """The best classes [N, count], best first; ties go to the lowest index."""
    return np.argsort(-logits.astype(np.float64), axis=1, kind="stable")[:, :count]


def evaluate(
    model: LoadedModel,
    executor: Executor | None,
    samples: Sequence[Sample],
    batch: int = 16,
    title: str = "",
    *,
    device: torch.device | None = None,
    workers: int = 1,
    print_every: int | None = None,
) -> Accuracy:
    """Run both networks over ``samples``, batch by batch in turn, and compare.

    ``device`` is where the float network runs when it is alone (the CPU; else the executor's),
    ``workers`` how many threads decode, ``print_every`` after how many batches a line with the
    accuracy so far is printed (never). Decoding is not timed. The first batch runs once
    beforehand, so that neither is timed cold.
    """
    if executor is not None:
        device = executor.device
    device = device or torch.device("cpu")
    module = model.module.to(device)
    seconds = {"fp": 0.0, "int": 0.0}
    ranks: dict[str, list[npt.NDArray[np.int64]]] = {"fp": [], "int": []}
    labels: list[npt.NDArray[np.int64]] = []

    def timed(which: str, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if which == "int":
            assert executor is not None
            start = time.perf_counter()
            logits: npt.NDArray[Any] = executor.run(pixels)
        else:
            inputs = model.spec.preprocess.normalize(pixels).to(device)
            start = time.perf_counter()
            with torch.inference_mode():
                logits = module(inputs).cpu().numpy()
        seconds[which] += time.perf_counter() - start
        return logits

    networks = ["fp"] if executor is None else ["fp", "int"]
    decoded = batches(samples, model.spec.preprocess, batch, title, workers)
    for number, (pixels, wanted) in enumerate(decoded, 1):
        if not labels:
            for which in networks:
                timed(which, pixels)
                seconds[which] = 0.0
        labels.append(wanted)
        for which in networks:
            ranks[which].append(ranked(timed(which, pixels)))
        if print_every is not None and number % print_every == 0:
            so_far = np.concatenate(labels)[:, None]
            hits = np.concatenate(ranks[networks[-1]]) == so_far
            top1, top5 = 100 * hits[:, 0].mean(), 100 * hits.any(1).mean()
            print(f"{len(so_far)}/{len(samples)}: top-1 {top1:.2f} %, top-5 {top5:.2f} %")
    label = np.concatenate(labels)[:, None]
    count = len(label)

    def percent(hits: npt.NDArray[np.bool_]) -> float:
        return round(100 * float(hits.mean()), 3)

    fp = np.concatenate(ranks["fp"])
    integer = np.concatenate(ranks["int"]) if executor is not None else None
    return Accuracy(
        images=count,
        fp_top1=percent(fp[:, :1] == label),
        fp_top5=percent((fp == label).any(1)),
        int_top1=None if integer is None else percent(integer[:, :1] == label),
        int_top5=None if integer is None else percent((integer == label).any(1)),
        agreement=None if integer is None else percent(integer[:, 0] == fp[:, 0]),
        images_per_second=None if integer is None else round(count / seconds["int"], 2),
        fp_images_per_second=round(count / seconds["fp"], 2),
    )
