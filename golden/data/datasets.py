"""Pictures to calibrate on and to evaluate with, from folders or from scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from golden.catalogue.models import ModelSpec
from golden.data.class_folders import has_splits, read_class_folders
from golden.data.label_table import TABLE, read_label_table
from golden.data.listing import Skipped, pictures_below
from golden.data.pictures import Sample, file_sample, sample_photos
from golden.support.errors import PotvitError
from golden.support.locations import data_folder

#: The data set that needs no files; the default for vit_digits and swin_digits.
DIGITS = "digits"
#: Pictures of a train/ folder that calibrate by default; there may be a million.
FOLDER_CALIBRATION = 200
#: Classes of the photos that `default_data` names.
IMAGENET_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A calibration set and an evaluation set.

    Attributes:
        origin: what the user called it, for reports.
        calibration, evaluation: in the data set's own order; `evaluation` may be empty.
        default_count: calibration pictures drawn where no number is given; None for all.
        labels: the rule that gave the labels, in words.
        skipped: what was left out and how much of it, in words.
    """

    origin: str
    calibration: Sequence[Sample]
    evaluation: Sequence[Sample]
    default_count: int | None = None
    labels: str = "the data set's own"
    skipped: tuple[str, ...] = ()

    def calib(self, count: int | None = None, seed: int = 0) -> list[Sample]:
        """`count` calibration pictures drawn with `seed`, all of them if there are fewer.

        Raises:
            PotvitError: there is none, or `count` is not positive.
        """
        if count is not None and count < 1:
            raise PotvitError(f"calibration needs at least one picture, not {count}")
        if not self.calibration:
            raise PotvitError(f"{self.origin} has no calibration pictures{self._left_out()}")
        count = self.default_count if count is None else count
        if count is None or count >= len(self.calibration):
            return list(self.calibration)
        chosen = np.random.default_rng(seed).permutation(len(self.calibration))[:count]
        return [self.calibration[i] for i in sorted(chosen)]

    def eval_samples(self, limit: int | None = None) -> list[Sample]:
        """The first `limit` evaluation pictures, all by default.

        Raises:
            PotvitError: there is none, or `limit` is not positive.
        """
        if limit is not None and limit < 1:
            raise PotvitError(f"evaluation needs at least one picture, not {limit}")
        if not self.evaluation:
            raise PotvitError(
                f"{self.origin} has no labelled pictures to evaluate on{self._left_out()}; "
                f"accuracy needs {TABLE} or val/ with a folder per class; labels: {self.labels}"
            )
        return list(self.evaluation[:limit])

    def notes(self) -> list[str]:
        """Lines for the user: how labels were found, and what was left out."""
        lines = [f"labels of {self.origin}: {self.labels}"]
        return lines + [f"left out: {what}" for what in self.skipped]

    def _left_out(self) -> str:
        return f" (left out: {'; '.join(self.skipped)})" if self.skipped else ""

    def pictures(self, limit: int | None = None) -> list[Sample]:
        """The first `limit` pictures to look at, whatever their labels: evaluation ones if any."""
        return list((self.evaluation or self.calibration)[:limit])


def open_dataset(data: str | Path | None, spec: ModelSpec) -> Dataset:
    """Open what the user named.

    `data` is a folder with ``labels.csv`` (columns file, label, split; `calib` calibrates, `dev`
    evaluates), an ImageNet-style folder (``train/`` calibrates, ``val/`` evaluates; one folder
    per class), any other folder with pictures (they calibrate, and have no labels), the word
    ``digits``, or None: the two scikit-learn photos to calibrate on and nothing to evaluate (digits
    for vit_digits and swin_digits).

    Raises:
        PotvitError: says what is missing or wrong, down to file and line.
    """
    if (data is None and spec.timm_name is None) or str(data) == DIGITS:
        return _digits(spec)
    if data is None:
        return Dataset(
            origin="scikit-learn sample photos",
            calibration=sample_photos(),
            evaluation=[],
            labels="none",
        )
    folder = Path(data)
    if not str(data):
        raise PotvitError("DATA is empty: name a folder")
    if not folder.is_dir():
        raise PotvitError(f"DATA {folder} is no folder")
    if (folder / TABLE).is_file():
        calibration, evaluation, rule = read_label_table(folder, spec)
        return Dataset(
            origin=str(folder), calibration=calibration, evaluation=evaluation, labels=rule
        )
    if has_splits(folder):
        found = read_class_folders(folder, spec)
        return Dataset(
            origin=str(folder), calibration=found.train, evaluation=found.val,
            default_count=FOLDER_CALIBRATION, labels=found.rule, skipped=found.skipped,
        )  # fmt: skip
    return _plain_folder(folder)


def picture_folder(folder: Path) -> list[Sample]:
    """All pictures below a folder, in sorted order, without labels; sidecar files are left out.

    Raises:
        PotvitError: it is no folder, or holds none.
    """
    if not folder.is_dir():
        raise PotvitError(f"{folder} is no folder of pictures")
    found = [file_sample(path, folder) for path in pictures_below(folder, folder, Skipped())]
    if not found:
        raise PotvitError(f"{folder} holds no pictures")
    return found


def default_dataset(spec: ModelSpec) -> Dataset:
    """What a model is calibrated on where nobody names data.

    The photos of `default_data` are ImageNet-1k's: a model of other classes takes them without
    their labels.
    """
    folder = default_data(spec)
    if folder is None or spec.num_classes == IMAGENET_CLASSES:
        return open_dataset(folder, spec)
    found = open_dataset(folder, replace(spec, num_classes=IMAGENET_CLASSES, labels=None))
    return replace(
        found,
        calibration=[replace(sample, label=-1) for sample in found.calibration],
        evaluation=[replace(sample, label=-1) for sample in found.evaluation],
        labels=f"none: those of the photos are not classes of {spec.name}",
    )


def default_data(spec: ModelSpec) -> Path | None:
    """``$POTVIT_DATA/photos`` for an ImageNet model where it exists, else None."""
    folder = data_folder()
    if spec.timm_name is None or folder is None or not (folder / "photos").is_dir():
        return None
    return folder / "photos"


def _plain_folder(folder: Path) -> Dataset:
    """Pictures of any layout: enough to calibrate on, and to simulate."""
    for path in sorted(folder.iterdir()):
        # Its evaluation pictures must not calibrate.
        if path.is_dir() and (has_splits(path) or (path / TABLE).is_file()):
            raise PotvitError(f"DATA {folder} is no data set, but holds one: name {path}")
    skipped = Skipped()
    pictures = list(pictures_below(folder, folder, skipped))
    if not pictures:
        raise PotvitError(
            f"DATA {folder} has neither {TABLE} nor train/ and val/ folders, and no pictures"
        )
    return Dataset(
        origin=str(folder),
        calibration=[file_sample(path, folder) for path in pictures],
        evaluation=[],
        default_count=FOLDER_CALIBRATION,
        labels="none: a plain folder of pictures",
        skipped=skipped.notes(),
    )


def _digits(spec: ModelSpec) -> Dataset:
    if spec.timm_name is not None:
        raise PotvitError(
            f"the data set {DIGITS!r} is for vit_digits and swin_digits, not for {spec.name}"
        )
    from golden.data.digits import digits_split

    train, test = digits_split()
    return Dataset(origin=DIGITS, calibration=train, evaluation=test)
