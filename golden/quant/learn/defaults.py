"""Which pictures help where rounding is learned, and where its finished stages are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from golden.data.datasets import picture_folder
from golden.data.pictures import Sample
from golden.models.load import LoadedModel
from golden.support.locations import BUILD, data_folder

#: Unlabelled pictures that are taken beside the calibration ones.
MORE_PICTURES = 400
#: Kept stages of runs that were interrupted, and of those that were not.
FOLDER = BUILD / "learn"


def more_pictures(model: LoadedModel, folder: Path | None, seed: int = 0) -> Sequence[Sample]:
    """Draw ``MORE_PICTURES`` of ``folder``; of ``$POTVIT_DATA/train`` for an ImageNet model.

    None where that is not there. Raises ``PotvitError`` for a ``folder`` without pictures.
    """
    if folder is None:
        data = data_folder()
        if model.spec.timm_name is None or data is None or not (data / "train").is_dir():
            return []
        folder = data / "train"
    found = picture_folder(folder)
    if len(found) <= MORE_PICTURES:
        return found
    chosen = np.random.default_rng(seed).permutation(len(found))[:MORE_PICTURES]
    return [found[i] for i in sorted(chosen)]
