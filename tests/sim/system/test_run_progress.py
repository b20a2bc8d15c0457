import pytest

from golden.support.progress import Meter
from sim.system.run_progress import last_cycle, simulating
from sim.system.trace import TRACE


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        ("", 0),
        ("12 0 0 3", 0),
        ("12 0 0 3\n", 12),
        ("12 0 0 3\n4567 1 1 2\n88", 4567),
        ("1 0 0 0\n" * 5000 + "99 1 1 1\n", 99),
    ],
)
def test_the_last_whole_line_counts(tmp_path, text, cycle):
    assert last_cycle(tmp_path / TRACE) == 0
    (tmp_path / TRACE).write_text(text)
    assert last_cycle(tmp_path / TRACE) == cycle


def test_the_bar_follows_the_trace(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(Meter, "to", lambda self, done: seen.append(done / self._bar.total))
    with simulating("simulating", tmp_path, 200) as look:
        look()
        (tmp_path / TRACE).write_text("50 0 0 3\n")
        look()
    assert seen == [0, 0.25]
