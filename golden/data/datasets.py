"""Pictures to calibrate on and to evaluate with, from folders or from scikit-learn."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from golden.catalogue.models import ModelSpec
from golden.data.pictures import SUFFIXES, Sample, open_image, sample_photos
from golden.support.errors import PotvitError
from golden.support.locations import data_folder

#: The data set that needs no files; the default for vit_digits.
DIGITS = "digits"
#: Pictures of a train/ folder that calibrate by default; there may be a million.
FOLDER_CALIBRATION = 200


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A calibration set and an evaluation set.

    Attributes:
        origin: what the user called it, for reports.
        calibration, evaluation: in the data set's own order; `evaluation` may be empty.
        default_count: calibration pictures drawn where no number is given; None for all.
    """

    origin: str
    calibration: Sequence[Sample]
    evaluation: Sequence[Sample]
    default_count: int | None = None

    def calib(self, count: int | None = None, seed: int = 0) -> list[Sample]:
        """`count` calibration pictures drawn with `seed`, all of them if there are fewer.

        Raises:
            PotvitError: there is none, or `count` is not positive.
        """
        if count is not None and count < 1:
            raise PotvitError(f"calibration needs at least one picture, not {count}")
        if not self.calibration:
            raise PotvitError(f"{self.origin} has no calibration pictures")
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
            raise PotvitError(f"{self.origin} has no labelled pictures to evaluate on")
        return list(self.evaluation[:limit])


def open_dataset(data: str | Path | None, spec: ModelSpec) -> Dataset:
    """Open what the user named.

    `data` is a folder with ``labels.csv`` (columns file, label, split; `calib` calibrates, `dev`
    evaluates), an ImageNet-style folder (``train/`` calibrates, ``val/`` evaluates; one folder
    per class), the word ``digits``, or None: the two scikit-learn photos to calibrate on and
    nothing to evaluate (digits for vit_digits).

    Raises:
        PotvitError: says what is missing or wrong, down to file and line.
    """
    if (data is None and spec.timm_name is None) or str(data) == DIGITS:
        return _digits(spec)
    if data is None:
        return Dataset(
            origin="scikit-learn sample photos", calibration=sample_photos(), evaluation=[]
        )
    folder = Path(data)
    if not folder.is_dir():
        raise PotvitError(f"DATA {folder} is no folder")
    if (folder / "labels.csv").is_file():
        return _from_csv(folder, spec)
    if (folder / "train").is_dir() or (folder / "val").is_dir():
        return _from_class_folders(folder, spec)
    raise PotvitError(f"DATA {folder} has neither labels.csv nor train/ and val/ folders")


def default_data(spec: ModelSpec) -> Path | None:
    """``$POTVIT_DATA/photos`` for an ImageNet model where it exists, else None."""
    folder = data_folder()
    if spec.timm_name is None or folder is None or not (folder / "photos").is_dir():
        return None
    return folder / "photos"


def _checked_label(text: str, spec: ModelSpec, where: str) -> int:
    try:
        label = int(text)
    except ValueError:
        raise PotvitError(f"{where}: label {text!r} is not a number") from None
    if not 0 <= label < spec.num_classes:
        raise PotvitError(f"{where}: label {label} is outside 0..{spec.num_classes - 1}")
    return label


def _file_sample(path: Path, name: str, label: int) -> Sample:
    return Sample(name=name, label=label, open=partial(open_image, path))


def _from_csv(folder: Path, spec: ModelSpec) -> Dataset:
    table = folder / "labels.csv"
    splits: dict[str, list[Sample]] = {"calib": [], "dev": []}
    try:
        # A spreadsheet may put a byte-order mark in front and blanks after the commas.
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            missing = {"file", "label", "split"} - set(reader.fieldnames or ())
            if missing:
                raise PotvitError(f"{table} lacks the column {sorted(missing)[0]!r}")
            for row in reader:
                where = f"{table} line {reader.line_num}"
                if not row["file"] or row["label"] is None or row["split"] is None:
                    raise PotvitError(f"{where}: file, label and split are needed")
                label = _checked_label(row["label"], spec, where)
                if row["split"] not in splits:
                    raise PotvitError(f"{where}: split {row['split']!r} is neither calib nor dev")
                path = folder / row["file"]
                if not path.is_file():
                    raise PotvitError(f"{where}: picture {row['file']} does not exist")
                splits[row["split"]].append(_file_sample(path, row["file"], label))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PotvitError(f"{table} is no CSV text ({error})") from None
    if not any(splits.values()):
        raise PotvitError(f"{table} lists no pictures")
    return Dataset(origin=str(folder), calibration=splits["calib"], evaluation=splits["dev"])


def _from_class_folders(folder: Path, spec: ModelSpec) -> Dataset:
    """Class folders in sorted order are the labels; both splits share one order."""
    classes = sorted(
        {
            path.name
            for split in ("train", "val")
            for path in (folder / split).glob("*")
            if path.is_dir()
        }
    )
    if len(classes) > spec.num_classes:
        raise PotvitError(
            f"DATA {folder} has {len(classes)} class folders, {spec.name} has {spec.num_classes}"
        )
    labels = _imagenet_labels(classes) or {name: label for label, name in enumerate(classes)}

    def split(name: str) -> list[Sample]:
        return [
            _file_sample(path, str(path.relative_to(folder)), labels[path.parent.name])
            for path in sorted((folder / name).glob("*/*"))
            if path.suffix.lower() in SUFFIXES
        ]

    found = Dataset(
        origin=str(folder),
        calibration=split("train"),
        evaluation=split("val"),
        default_count=FOLDER_CALIBRATION,
    )
    if not found.calibration and not found.evaluation:
        raise PotvitError(f"DATA {folder} has no pictures in train/<class>/ or val/<class>/")
    return found


def _imagenet_labels(classes: Sequence[str]) -> dict[str, int] | None:
    """Labels by WordNet identifier, so that a folder with some of the classes is labelled right."""
    from golden.catalogue.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    from timm.data import ImageNetInfo

    known = {name: label for label, name in enumerate(ImageNetInfo().label_names())}
    if not classes or any(name not in known for name in classes):
        return None
    return {name: known[name] for name in classes}


def _digits(spec: ModelSpec) -> Dataset:
    if spec.timm_name is not None:
        raise PotvitError(f"the data set {DIGITS!r} is for vit_digits, not for {spec.name}")
    from golden.data.digits import digits_split

    train, test = digits_split()
    return Dataset(origin=DIGITS, calibration=train, evaluation=test)
