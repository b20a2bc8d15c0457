"""How close the integer network's features are to the float one's, where there is no classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from golden.data.pictures import Sample, batches
from golden.execute.batched import Executor
from golden.models.load import LoadedModel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Cosines between integer and float features of the same pictures.

    Attributes:
        images: pictures compared.
        class_cosine, class_cosine_least: of the class token, mean and least over the pictures;
            None where the features have none.
        patch_cosine, patch_cosine_least: of every patch token, mean and least over pictures and
            tokens; None where only the class token is read out.
    """

    images: int
    class_cosine: float | None
    class_cosine_least: float | None
    patch_cosine: float | None
    patch_cosine_least: float | None


def compare_features(
    model: LoadedModel,
    executor: Executor,
    samples: Sequence[Sample],
    batch: int = 16,
    title: str = "",
    workers: int = 1,
) -> Likeness:
    """Run both networks over ``samples`` and compare their features token by token.

    Tokens between the class token and the patches (registers) are left out.
    """
    module = model.module.to(executor.device)
    exponent = executor.graph.tensors[executor.graph.output].exponent
    classes: list[Floats] = []
    patches: list[Floats] = []
    first = module.num_prefix_tokens
    for pixels, _ in batches(samples, model.spec.preprocess, batch, title, workers):
        with torch.inference_mode():
            inputs = model.spec.preprocess.normalize(pixels).to(executor.device)
            wanted = module(inputs).double().cpu().numpy()
        made = executor.trace(pixels, [executor.graph.output])[executor.graph.output]
        found = cosines(np.ldexp(made.astype(np.float64), exponent), wanted.reshape(made.shape))
        if module.has_class_token:
            classes.append(found[:, 0])
        if found.shape[1] > 1:
            patches.append(found[:, first:].ravel())
    token = np.concatenate(classes) if classes else None
    patch = np.concatenate(patches) if patches else None
    return Likeness(
        images=len(samples),
        class_cosine=None if token is None else round(float(token.mean()), 5),
        class_cosine_least=None if token is None else round(float(token.min()), 5),
        patch_cosine=None if patch is None else round(float(patch.mean()), 5),
        patch_cosine_least=None if patch is None else round(float(patch.min()), 5),
    )


def cosines(one: Floats, other: Floats) -> Floats:
    """Cosine over the last axis of [..., C]; 0 where one of the two is 0."""
    product = (one * other).sum(-1)
    length = np.sqrt((one * one).sum(-1) * (other * other).sum(-1))
    return np.asarray(np.divide(product, length, out=np.zeros_like(product), where=length > 0))
