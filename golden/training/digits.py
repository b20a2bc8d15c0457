"""The embedded models vit_digits and swin_digits: their data and their training.

Data: scikit-learn's 1797 handwritten digits, 8 x 8 pixels of 0..16. Every fourth picture of each
class, in the set's order, is for testing (445); the others train (1352). A picture
becomes a model's 64 x 64 by repeating each pixel 8 times each way, its value times 15.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from golden.catalogue.models import MODELS, ModelSpec, model_spec
from golden.data.digits import GAIN, REPEAT, digits_arrays, enlarge
from golden.models.load import build_module
from golden.support.progress import progress

#: The models that this command trains: those whose weights are part of the package.
NAMES = tuple(spec.name for spec in MODELS.values() if spec.timm_name is None)
EPOCHS = 300
_BATCH = 64
_RATE = 4e-3


def train(
    epochs: int = EPOCHS, seed: int = 0, name: str = "vit_digits"
) -> tuple[dict[str, torch.Tensor], float]:
    """Train one of ``NAMES`` from scratch; float16 weights and their test accuracy in percent.

    AdamW with warm-up and cosine decay, label smoothing, small random shifts, turns, and scalings
    of the 8 x 8 pictures, and an exponential moving average of the weights, which is what is
    kept. One thread and one seed: the same machine gives the same bits. The settings were
    chosen on a fifth of the training pictures; the test pictures took no part in any choice.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(model_spec(name), epochs, seed)
    finally:
        torch.set_num_threads(threads)


def _train(spec: ModelSpec, epochs: int, seed: int) -> tuple[dict[str, torch.Tensor], float]:
    images, labels, testing = digits_arrays()
    x = torch.from_numpy(images[~testing]).float()[:, None]
    y = torch.from_numpy(labels[~testing])
    torch.manual_seed(seed)
    model = build_module(spec).train().requires_grad_(True)
    _initialize(model)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=_RATE,
    )
    steps = epochs * (len(x) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=_RATE, total_steps=steps, pct_start=0.1
    )
    step = 0
    for _ in progress(range(epochs), f"training {spec.name}"):
        for chosen in torch.randperm(len(x))[: steps // epochs * _BATCH].split(_BATCH):
            logits = model(_as_input(_distort(x[chosen])))
            loss = F.cross_entropy(logits, y[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            keep = min(0.99, step / (step + 10))
            for name, tensor in model.state_dict().items():
                average[name].lerp_(tensor, 1 - keep)
    state = {name: tensor.half() for name, tensor in average.items()}
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return state, accuracy(model.eval())


def _initialize(model: Any) -> None:
    """Start from weights that suit widths of tens: timm's deviation of 0.02 is for hundreds."""
    for name, parameter in model.named_parameters():
        if name == "pos_embed" or name.endswith("relative_position_bias_table"):
            torch.nn.init.normal_(parameter, std=0.2)
        elif parameter.ndim == 2:
            torch.nn.init.xavier_uniform_(parameter)


def accuracy(model: Any) -> float:
    """Top-1 of a float digits model on the test pictures, percent."""
    preprocess = model_spec(NAMES[0]).preprocess
    images, labels, testing = digits_arrays()
    pixels = np.stack([enlarge(image)[..., None] for image in images[testing]])
    with torch.no_grad():
        found = model(preprocess.normalize(pixels)).argmax(1).numpy()
    return float(100 * np.mean(found == labels[testing]))


def _distort(x: torch.Tensor) -> torch.Tensor:
    """Random turn (10 degrees), scale (8 %), shear and shift (0.7 pixels) of [N, 1, 8, 8]."""
    n = len(x)
    angle = (torch.rand(n) * 2 - 1) * 0.18
    scale = 1 + (torch.rand(n, 2) * 2 - 1) * 0.08
    shear = (torch.rand(n) * 2 - 1) * 0.1
    shift = (torch.rand(n, 2) * 2 - 1) * 0.175  # in half pictures, four pixels
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.stack(
        [
            torch.stack([cos * scale[:, 0], -sin + shear, shift[:, 0]], dim=1),
            torch.stack([sin, cos * scale[:, 1], shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [n, 1, 8, 8], align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def _as_input(x: torch.Tensor) -> torch.Tensor:
    """Float 8 x 8 of 0..16 to normalized [N, 1, 64, 64], as `Preprocess.normalize` does it."""
    preprocess = model_spec(NAMES[0]).preprocess
    large = x.repeat_interleave(REPEAT, 2).repeat_interleave(REPEAT, 3)
    return (large * (GAIN / 255) - preprocess.mean[0]) / preprocess.std[0]
