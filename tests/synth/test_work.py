from synth import work
from synth.work import remembered


def test_a_result_is_made_once_and_again_when_its_file_is_broken(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(work, "CACHE", tmp_path)
    made = []

    def make():
        made.append(1)
        return {"area": 2.5}

    def ask(*material):
        assert remembered(material, make) == {"area": 2.5}
        return len(made)

    assert [ask("a"), ask("a"), ask("a", "b"), ask("ab")] == [1, 1, 2, 3]
    for path in tmp_path.iterdir():
        path.write_text("")
    assert capsys.readouterr().err == ""
    assert [ask("a"), ask("a")] == [4, 4]
    assert capsys.readouterr().err.count("is broken: it is made again") == 1
