import pytest

from golden.support import progress
from golden.support.progress import Meter
from sim.simulator.build_progress import compiling


def test_finished_objects_count_by_their_size_and_time_fills_between(tmp_path, monkeypatch):
    seen, now = [], 0.0
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(Meter, "to", lambda self, done: seen.append(done))
    monkeypatch.setattr(progress, "PACES", tmp_path / "paces.json")
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    for name, size in (("a.cpp", 600_000), ("b.cpp", 300_000), ("c__Slow.cpp", 400_000)):
        (tmp_path / name).write_text("x" * size)  # 25 s of work by guess
    with compiling("compiling", tmp_path) as look:
        look()
        now = 12.5
        look()
        now = 30.0
        (tmp_path / "b.o").touch()
        look()
        now = 60.0
        look()
        now = 80.0
        for name in "ac":
            (tmp_path / f"{name}{'__Slow' * (name == 'c')}.o").touch()
        look()
    assert seen == pytest.approx([0, 0.5, 0.3, 0.6, 1], abs=1e-6)
    assert progress.PACES.read_text().split() == ["{", '"compiling":', "3.2", "}"]


def test_a_build_without_sources_is_no_mistake(tmp_path):
    with compiling("compiling", tmp_path) as look:
        look()
