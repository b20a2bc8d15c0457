from hw.config import preset
from hw.emit import generate
from sim import generated as module
from sim.generated import generated


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
    for path in tmp_path.iterdir():
        path.write_text(path.read_text()[:-100])  # broken: made again
    ask(tiny)
    assert made == [tiny, other, tiny]


def test_a_changed_source_is_generated_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", tmp_path / "kept")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    made = []
    monkeypatch.setattr(module, "generate", lambda config: made.append(1) or generate(config))
    (tmp_path / "hw").mkdir()
    source = tmp_path / "hw" / "unit.py"
    for text in ("a = 1\n", "a = 1\n", "a = 2\n"):
        source.write_text(text)
        generated.cache_clear()
        generated(preset("tiny"))
    assert len(made) == 2
