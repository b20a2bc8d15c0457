"""The search command on the embedded model: front, bits FILEs, resuming, and bad wishes."""

import json

import pytest

from golden.quant import bit_map
from golden.support.command_line import main
from hw.config import preset
from sim.__main__ import COMMANDS
from sim.search import evaluate

WORDS = ["search", "--model", "vit_digits", "--config", "tiny", "--calib", "16",
         "--population", "2", "--generations", "1", "--jobs", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    assert main("sim", COMMANDS, [*WORDS, "--target", "50"]) == 0
    yield folder
    patch.undo()


def test_the_front_is_reproducible_from_its_bits_files(found):
    report = json.loads((found / "build/search/vit_digits-tiny.json").read_text(encoding="utf-8"))
    front = report["front"]
    assert [row["cycles"] for row in front] == sorted(row["cycles"] for row in front)
    assert len(report["measured"]) >= 4
    assert report["best"]["agreement"] >= 50
    row = front[0]
    bits = bit_map(str(found / row["bits"]))
    four = sorted(name for name, width in bits.patterns.items() if width.weights == 4)
    assert row["four"] == len(four) == 18
    task = {"setting": ["vit_digits", None, None, 16, 0], "attn": "log2",
            "config": evaluate.told(preset("tiny")), "four": row["layers"]}  # fmt: skip
    again = evaluate.measure(task)
    assert again == {name: row[name] for name in ("cycles", "agreement", "divergence")}
    text = (found / "build/search/vit_digits-tiny.md").read_text(encoding="utf-8")
    assert f"{row['cycles']:,}" in text
    assert (found / "build/search/vit_digits-tiny-front.svg").stat().st_size > 1000


def test_an_interrupted_search_goes_on_to_the_same_bytes(found, monkeypatch, capsys):
    path = found / "build/search/vit_digits-tiny.json"
    before = path.read_bytes()
    kept = sorted((found / "build/search/kept").iterdir())
    kept[0].unlink()
    untouched = kept[1].stat().st_mtime_ns
    assert main("sim", COMMANDS, [*WORDS, "--target", "50"]) == 0
    assert path.read_bytes() == before
    assert kept[1].stat().st_mtime_ns == untouched
    assert kept[0].exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "one of them"),
        (["--budget", "1", "--target", "9"], "one of them"),
        (["--budget", "10"], "still takes"),
        (["--target", "101"], "nothing that was measured meets this"),
        (["--target", "50", "--jobs", "0"], "start at 1"),
        (["--target", "50", "--calib", "1"], "two calibration pictures"),
        (["--target", "50", "--config", "none"], "none"),
    ],
)
def test_bad_wishes(found, capsys, words, said):
    assert main("sim", COMMANDS, [*WORDS, *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_a_configuration_of_ones_own(tmp_path, monkeypatch, capsys):
    """A file and ``--set`` reach the compiler and the jobs, and name the result."""
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.toml"
    mine.write_text('preset = "tiny"\nrows = 3\ncols = 8\n', encoding="utf-8")
    words = ["--config", str(mine), "--set", "queue_depth=4"]
    assert main("sim", COMMANDS, [*WORDS, *words, "--budget", "10"]) == 2
    assert "still takes" in (error := capsys.readouterr().err)
    assert error.endswith("cycles on mine-queue_depth4\n")
    config = preset("tiny").change(rows=3, cols=8, axi_bytes=16)
    task = {"setting": ["vit_digits", None, None, 16, 0], "attn": "log2", "four": []}
    told = [json.loads(json.dumps(evaluate.told(c))) for c in (preset("tiny"), config)]
    slower, faster = (evaluate.measure(task | {"config": c})["cycles"] for c in told)
    assert faster < slower
    assert evaluate._told(told[1]) == config


def test_the_result_is_named_after_the_models_file_and_lies_below_the_build(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pth.tar").touch()
    report = {"front": [], "best": {"cycles": 1, "agreement": 9.0}}
    place = "sim.commands.search"
    monkeypatch.setattr(f"{place}.search", lambda *_: report)
    monkeypatch.setattr(f"{place}.plot", lambda _: None)
    monkeypatch.setattr(f"{place}.sections", lambda *_: [])
    words = ["search", "--model", str(tmp_path / "mine.pth.tar"), "--budget", "1"]
    assert main("sim", COMMANDS, words) == 0
    assert (tmp_path / "build/search/mine-base.json").exists()
    assert not list(tmp_path.glob("*.json"))
