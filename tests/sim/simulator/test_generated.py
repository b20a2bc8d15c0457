import subprocess
import sys
from pathlib import Path

import pytest

from hw.config import preset
from hw.lib.memory import MEMORY_SOURCE
from hw.top.verilog import generate
from sim.simulator import generated as module
from sim.simulator.generated import generated, sources


def test_kept_designs_are_what_would_be_generated(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    made = []
    monkeypatch.setattr(module, "generate", lambda config: made.append(config) or generate(config))
    tiny = preset("tiny")
    other = tiny.change(out_words=8)

    def ask(config):
        generated.cache_clear()
        assert generated(config) == generate(config)

    ask(tiny)
    ask(tiny)
    assert made == [tiny]
    ask(other)
    assert made == [tiny, other]


@pytest.mark.parametrize("fault", ["emptied", "cut", "altered", "another", "list"])
def test_a_broken_design_is_made_again_and_said(tmp_path, monkeypatch, capsys, fault):
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    generated.cache_clear()
    good = generated(preset("tiny"))
    (path,) = tmp_path.iterdir()
    text = path.read_text()
    path.write_text({
        "emptied": "", "cut": text[:-100], "altered": text.replace("endmodule", "", 1),
        "another": '{"verilog": ""}', "list": "[]",
    }[fault])  # fmt: skip
    assert capsys.readouterr().err == ""
    generated.cache_clear()
    assert generated(preset("tiny")) == good
    assert capsys.readouterr().err == f"kept file {path} is broken: it is made again\n"
    assert path.read_text() == text


@pytest.mark.parametrize("place", ["hw/unit.py", "hw/array/mac/pe.py", "hw/lib/ram.v",
                                   "golden/ops/gelu.py", "golden/ops/float/exp.py"])  # fmt: skip
def test_a_changed_source_is_generated_again(tmp_path, monkeypatch, place):
    monkeypatch.setattr(module, "FOLDER", tmp_path / "kept")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    made = []
    monkeypatch.setattr(module, "generate", lambda config: made.append(1) or generate(config))
    source = tmp_path / place
    source.parent.mkdir(parents=True)
    for text in ("a = 1\n", "a = 1\n", "a = 2\n"):
        source.write_text(text)
        generated.cache_clear()
        generated(preset("tiny"))
    assert len(made) == 2


def test_every_module_behind_the_verilog_is_a_source():
    """Whatever generating loads of the project, but for what no word of the Verilog is from."""
    code = (
        "import sys; from hw.config import preset; from hw.top.verilog import generate\n"
        "generate(preset('tiny'))\n"
        "files = (getattr(m, '__file__', None) for m in sys.modules.values())\n"
        "print(*filter(None, files), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=module.ROOT, check=True,
                          capture_output=True, text=True)  # fmt: skip
    loaded = {Path(line).resolve() for line in done.stdout.splitlines()}
    ours = {path for path in loaded if path.is_relative_to(module.ROOT)
            and ".venv" not in path.parts}  # fmt: skip
    assert len(ours) > 60
    left = ours - {path.resolve() for path in sources()}
    assert {path.parent for path in left if path.name != "__init__.py"} <= {
        module.ROOT.resolve() / "golden" / "support"
    }
    assert MEMORY_SOURCE in sources()
