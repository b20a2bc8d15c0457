from golden.support.progress import Meter
from sim.simulator.build_progress import compiling


def test_finished_objects_count_by_their_size(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(Meter, "to", lambda self, done: seen.append(done / self._bar.total))
    for name, size in (("a.cpp", 600), ("b.cpp", 300), ("c__Slow.cpp", 400)):
        (tmp_path / name).write_text("x" * size)
    with compiling("compiling", tmp_path) as look:
        look()
        for name in ("b", "c__Slow", "a"):
            (tmp_path / f"{name}.o").touch()
            look()
    assert seen == [0, 0.3, 0.4, 1]


def test_a_build_without_sources_is_no_mistake(tmp_path):
    with compiling("compiling", tmp_path) as look:
        look()
