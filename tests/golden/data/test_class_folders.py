"""Labels of class folders: right by a rule that is told, or refused in one line."""

import os
from dataclasses import replace

import pytest
from PIL import Image

from golden.catalogue.models import MODELS
from golden.data.datasets import FOLDER_CALIBRATION, open_dataset, picture_folder
from golden.data.pictures import open_image
from golden.support.errors import PotvitError

DEIT, DIGITS = MODELS["deit_tiny"], MODELS["vit_digits"]
TEN = replace(DEIT, name="ten", num_classes=10)  # a fine-tuned head: its classes have no names
# Not in sorted order: a misspelled folder must not bring that order in.
PETS = replace(DEIT, name="pets", num_classes=3, labels=("owl", "cat", "dog"))
GOLDFISH, LAST = "n01443537", "n15075141"  # labels 1 and 999


def pictures(root, *names):
    """One small picture in each of the folders."""
    for name in names:
        path = root / name
        path.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "green").save(path / "x.png")
    return root


def val(root, *names):
    return pictures(root, *(f"val/{name}" for name in names))


def labels(root, spec=DEIT):
    """Label by class folder, as evaluation has it."""
    found = {}
    for sample in open_dataset(root, spec).eval_samples():
        found.setdefault(sample.name.split("/")[1], set()).add(sample.label)
    assert all(len(same) == 1 for same in found.values())
    return {name: same.pop() for name, same in found.items()}


@pytest.mark.parametrize(
    ("names", "wanted", "rule"),
    [
        (["0", "1", "2", "10"], [0, 1, 2, 10], "folder names are label numbers, 4 of 1000 classes"),
        (["000", "007", "010", "100"], [0, 7, 10, 100], "label numbers"),
        (["3", "999"], [3, 999], r"the first is 3 \(labels count from 0\)"),
        (["42"], [42], "1 of 1000 classes"),
        ([GOLDFISH, LAST], [1, 999], "WordNet identifiers, 2 of 1000 classes"),
        ([LAST], [999], "WordNet identifiers, 1 of 1000"),
        ([f"{GOLDFISH}_goldfish", f"{LAST}-toilet paper"], [1, 999], "WordNet identifiers"),
        (["Goldfish", "great white shark", "toilet_tissue"], [1, 2, 999], "class names, 3 of"),
    ],
)
def test_names_are_labels(tmp_path, names, wanted, rule):
    assert labels(val(tmp_path, *names)) == dict(zip(names, wanted, strict=True))
    with pytest.raises(AssertionError, match=rule):
        raise AssertionError(open_dataset(tmp_path, DEIT).notes()[0])


def test_a_thousand_numbers_are_not_sorted_as_text(tmp_path):
    names = [str(label) for label in range(1000)]
    assert labels(val(tmp_path, *names)) == {name: int(name) for name in names}


def test_sorted_order_counts_only_with_a_folder_for_each_class(tmp_path):
    names = [f"kind {letter}" for letter in "jihgfedcba"]
    assert labels(val(tmp_path, *names), TEN) == {n: i for i, n in enumerate(sorted(names))}
    note = open_dataset(tmp_path, TEN).notes()[0]
    assert note.endswith("sorted folder names, kind a = 0 to kind j = 9")
    with pytest.raises(
        PotvitError, match=r"1000 classes cannot be told from 10 folders: name each by"
    ):
        labels(tmp_path)


def test_an_empty_class_keeps_its_place_in_sorted_order(tmp_path):
    names = [f"kind {letter}" for letter in "abcdefghij"]
    val(tmp_path, *names[:4], *names[5:])
    (tmp_path / "val" / names[4]).mkdir()
    assert labels(tmp_path, TEN)["kind f"] == 5
    (tmp_path / "val" / "kind e").rmdir()
    with pytest.raises(PotvitError, match="10 classes cannot be told from 9 folders"):
        labels(tmp_path, TEN)
    # Ten full ones are the classes, whatever is empty beside them.
    val(tmp_path, names[4])
    (tmp_path / "val" / "kind 0").mkdir()
    assert labels(tmp_path, TEN)["kind f"] == 5


def test_identifiers_are_but_names_to_another_head(tmp_path):
    """Ten ImageNet classes under a head of ten: 0 to 9, never 999."""
    names = [f"n0000000{digit}" for digit in range(9)] + [LAST]
    assert labels(val(tmp_path, *names), TEN)[LAST] == 9
    assert labels(tmp_path, DIGITS)[LAST] == 9


@pytest.mark.parametrize(
    ("names", "spec", "message"),
    [
        (["0", "1", "cat"], DEIT, r"are numbers \(0, 1\) but also other names \(cat\)"),
        ([GOLDFISH, LAST, "cat"], DEIT, r"WordNet identifiers \(.*but also other names \(cat\)"),
        ([GOLDFISH, LAST, "7"], DEIT, r"but also numbers \(7\)"),
        ([GOLDFISH, LAST, GOLDFISH.upper()], DEIT, r"but also other names \(N01443537\)"),
        (["1", "cat", GOLDFISH], DEIT, "but also"),
        ([GOLDFISH, "n99999999"], DEIT, "n99999999 is no class of deit_tiny"),
        (["n99999998", "n99999999"], DEIT, "n99999998, n99999999 is no class"),
        ([GOLDFISH, f"{GOLDFISH}_copy"], DEIT, "n01443537 and n01443537_copy are both class 1"),
        (["7", "007"], DEIT, "folders 007 and 7 are both class 7"),
        (["0", "1000"], DEIT, r"folder 1000: label is outside 0\.\.999$"),
        (["1", "10"], DIGITS, r"folder 10: label is outside 0\.\.9 \(labels count from 0\)"),
        (["0", "9" * 5000], DEIT, "label is outside"),
        (["0", "-1"], DEIT, r"other names \(-1\)"),
        (["0", "1", "²"], DEIT, r"other names \(²\)"),
        (["0/1", "0/2"], DEIT, r"is val/0/1/x\.png of class 0 or 1"),
        ([f"{LAST}/{GOLDFISH}"], DEIT, f"of class {LAST} or {GOLDFISH}"),
        (["goldfish", "Goldfish"], DEIT, "are both class 1"),
        (
            ["ant", "bee", "zzz"],
            DEIT,
            r"are class names \(ant, bee\) but also zzz, which is no class",
        ),
        (["catt", "dog", "owl"], PETS, r"are class names \(dog, owl\) but also catt, which"),
    ],
)
def test_contradictions_are_refused_by_name(tmp_path, names, spec, message):
    if len(names[-1]) > 255:
        names = [names[0], names[-1][:200]]
    with pytest.raises(PotvitError, match=message) as refusal:
        open_dataset(val(tmp_path, *names), spec)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("names", "spec", "message"),
    [
        (
            ["pets", "zzz"],
            DEIT,
            "pets, zzz is no class of deit_tiny, and 1000 classes cannot be told from 2 folders",
        ),
        (
            ["animals/n01443537"],
            DEIT,
            "animals is no class of deit_tiny, and 1000 classes cannot be told from 1 folder:",
        ),
        (["crane"], DEIT, "crane is no class"),  # a bird and a machine
        ([f"class_{i}" for i in range(1, 11)], TEN, "class_10 comes before a smaller number"),
        ([f"a1_b{i}" for i in range(1, 11)], TEN, "a1_b10 comes before a smaller number"),
        ([f"{i}-x" for i in range(1, 11)], TEN, "10-x comes before a smaller number"),
        ([f"{i}_{'jihgfedcba'[i - 1]}" for i in range(1, 11)], TEN, "10_a comes before a smaller"),
    ],
)
def test_names_that_tell_no_label_calibrate_only(tmp_path, names, spec, message):
    pictures(val(tmp_path, *names), *(f"train/{name}" for name in names))
    found = open_dataset(tmp_path, spec)
    assert {s.label for s in found.calib()} == {-1}
    with pytest.raises(PotvitError, match=message) as refusal:
        found.eval_samples()
    assert "\n" not in str(refusal.value)


def test_what_is_no_picture_is_left_out_and_counted(tmp_path):
    val(tmp_path, GOLDFISH, LAST, ".ipynb_checkpoints", "__MACOSX", f"{LAST}/@eaDir", "@eaDir/a")
    (tmp_path / "val" / "n99999999").mkdir()
    (tmp_path / "val" / "n99999998" / "empty below").mkdir(parents=True)
    for name in ("._x.png", "Thumbs.db", ".DS_Store", "DESKTOP.INI"):
        (tmp_path / "val" / LAST / name).write_bytes(b"\0")
    (tmp_path / "val" / LAST / "notes.txt").write_text("no picture")
    Image.new("L", (8, 8)).save(tmp_path / "val" / "loose.png")
    assert labels(tmp_path) == {GOLDFISH: 1, LAST: 999}
    found = open_dataset(tmp_path, DEIT)
    assert found.skipped == (
        f"4 sidecar files (val/{LAST}/.DS_Store, val/{LAST}/._x.png, val/{LAST}/DESKTOP.INI, ...)",
        "4 hidden or system folders (val/.ipynb_checkpoints, val/@eaDir, val/__MACOSX, ...)",
        "2 folders without pictures (n99999998, n99999999)",
        f"1 file that is no picture (val/{LAST}/notes.txt)",
        "1 picture outside the class folders (val/loose.png)",
    )
    assert found.notes()[1:] == [f"left out: {what}" for what in found.skipped]


def test_pictures_in_sub_folders_are_of_the_class(tmp_path):
    """Tiny-ImageNet's train/<class>/images/."""
    pictures(tmp_path, f"train/{GOLDFISH}/images", f"train/{LAST}/images/more", f"train/{LAST}")
    found = open_dataset(tmp_path, DEIT).calib()
    assert [(s.name, s.label) for s in found] == [
        (f"train/{GOLDFISH}/images/x.png", 1),
        (f"train/{LAST}/x.png", 999),
        (f"train/{LAST}/images/more/x.png", 999),
    ]


def test_links_are_followed_once(tmp_path):
    pictures(tmp_path, f"elsewhere/{GOLDFISH}")
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / GOLDFISH).symlink_to(tmp_path / "elsewhere" / GOLDFISH)
    (tmp_path / "elsewhere" / GOLDFISH / "back").symlink_to(tmp_path / "elsewhere" / GOLDFISH)
    assert [s.name for s in open_dataset(tmp_path, DEIT).eval_samples()] == [
        f"val/{GOLDFISH}/x.png"
    ]


def test_splits(tmp_path):
    pictures(tmp_path, "training/1", "validation/2")
    found = open_dataset(tmp_path, DEIT)
    assert [s.label for s in found.calib()] == [1]
    assert [s.label for s in found.eval_samples()] == [2]
    pictures(tmp_path, "val/3")
    with pytest.raises(PotvitError, match="has both val/ and validation/: keep one"):
        open_dataset(tmp_path, DEIT)


def test_splits_in_any_case(tmp_path):
    """Else both would be one plain folder, and its evaluation pictures would calibrate."""
    pictures(tmp_path, "Train/1", "VAL/2")
    found = open_dataset(tmp_path, DEIT)
    assert [s.label for s in found.calib()] == [1]
    assert [s.label for s in found.eval_samples()] == [2]
    pictures(tmp_path, "val/3")
    with pytest.raises(PotvitError, match="has both VAL/ and val/: keep one"):
        open_dataset(tmp_path, DEIT)


def test_splits_share_one_labelling(tmp_path):
    pictures(tmp_path, "train/1", f"val/{GOLDFISH}")
    with pytest.raises(PotvitError, match="but also"):
        open_dataset(tmp_path, DEIT)


def test_loose_pictures_of_a_split(tmp_path):
    """Pictures right in train/ calibrate; those right in val/ (as in ImageNet's own archive) do
    not evaluate, and the refusal says where they are."""
    pictures(tmp_path, "train", "val")
    found = open_dataset(tmp_path, DEIT)
    assert [s.name for s in found.calib()] == ["train/x.png"]
    with pytest.raises(PotvitError, match=r"1 picture outside the class folders \(val/x\.png\)"):
        found.eval_samples()


def test_empty_splits(tmp_path):
    (tmp_path / "val" / "cat").mkdir(parents=True)
    with pytest.raises(PotvitError, match="has no pictures in train/<class>/ or val/<class>/"):
        open_dataset(tmp_path, DEIT)
    found = open_dataset(val(tmp_path, "3"), DEIT)
    with pytest.raises(PotvitError, match=r"no calibration pictures .left out: 1 folder without"):
        found.calib()


def test_a_folder_of_many_pictures_is_drawn_from(tmp_path):
    for i in range(FOLDER_CALIBRATION + 3):
        path = tmp_path / "train" / f"{i % 10}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    found = open_dataset(tmp_path, DEIT)
    assert len(found.calib()) == FOLDER_CALIBRATION
    assert len(found.calib(FOLDER_CALIBRATION + 2)) == FOLDER_CALIBRATION + 2


def test_a_plain_folder_calibrates(tmp_path):
    pictures(tmp_path, ".", "holidays/day 1", ".cache")
    (tmp_path / "holidays" / "day 1" / "x.HEIC").write_bytes(b"\0")
    found = open_dataset(tmp_path, DEIT)
    assert [(s.name, s.label) for s in found.calib()] == [
        ("x.png", -1),
        ("holidays/day 1/x.png", -1),
    ]
    assert found.skipped == (
        "1 hidden or system folder (.cache)",
        "1 file that is no picture (holidays/day 1/x.HEIC)",
    )
    with pytest.raises(PotvitError, match=r"accuracy needs labels\.csv or val/ with a folder"):
        found.eval_samples()


def test_pictures_to_learn_from_have_sidecars_as_well(tmp_path):
    pictures(tmp_path, "a", "@eaDir", ".cache")
    (tmp_path / "a" / "._x.png").write_bytes(b"\0")
    assert [s.name for s in picture_folder(tmp_path)] == ["a/x.png"]
    (tmp_path / "none").mkdir()
    with pytest.raises(PotvitError, match="holds no pictures"):
        picture_folder(tmp_path / "none")


def test_a_data_set_further_down_is_not_taken_for_pictures(tmp_path):
    """Its evaluation pictures would calibrate."""
    val(tmp_path / "imagenet", "3")
    with pytest.raises(PotvitError, match=r"is no data set, but holds one: name .*/imagenet$"):
        open_dataset(tmp_path, DEIT)


def test_an_empty_name_is_not_the_working_folder():
    with pytest.raises(PotvitError, match="DATA is empty"):
        open_dataset("", DEIT)


def test_pipes_are_no_pictures(tmp_path):
    """Opening one would wait for ever."""
    pictures(tmp_path, "a")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "a" / "gone.png").symlink_to("nowhere")
    found = open_dataset(tmp_path, DEIT)
    assert [s.name for s in found.calib()] == ["a/gone.png", "a/x.png"]
    assert found.skipped == ("1 file that is no picture (a/pipe.png)",)
    with pytest.raises(PotvitError, match="does not exist"):
        found.calib()[0].open()
    with pytest.raises(PotvitError, match=r"pipe\.png is no readable picture .no regular file"):
        open_image(tmp_path / "a" / "pipe.png")
