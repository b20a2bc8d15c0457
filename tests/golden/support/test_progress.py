"""Bars: what they say on a terminal, and that nobody else hears of them."""

import io
import os
import re
import time

import pytest

from golden.support import progress as bars


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch, tmp_path):
    """Makes standard error a terminal; durations go to a file of the test's own."""
    monkeypatch.setattr(bars, "DURATIONS", tmp_path / "build" / "durations.json")
    monkeypatch.setattr(bars, "TICK", 0.02)

    def made():  # in the test itself: pytest has its own standard error in each phase
        found = Terminal()
        monkeypatch.setattr("sys.stderr", found)
        return found

    return made


def shown(terminal):
    """Every picture of the bar: percent, and the seconds that are left."""
    found = re.findall(r"(\d+)% .*?about (\d+):(\d+) left", terminal.getvalue())
    return [(int(percent), 60 * int(m) + int(s)) for percent, m, s in found]


def test_a_meter_tells_the_time_left(terminal):
    terminal = terminal()
    with bars.Meter("building", 400) as meter:
        time.sleep(0.5)
        meter.to(2)  # half a second for a two-hundredth
        meter.to(1000)
    assert "building: " in terminal.getvalue()
    seen = shown(terminal)
    assert seen[-1] == (100, 0)
    assert any(percent == 0 and 60 <= left < 1000 for percent, left in seen)


def test_expected_work_learns_from_the_last_time(terminal):
    terminal = terminal()
    with bars.expecting("generating tiny", 100):
        time.sleep(0.3)
    assert all(left > 90 for _, left in shown(terminal))
    assert len(shown(terminal)) > 2
    terminal.truncate(0)
    with bars.expecting("generating tiny", 100):
        time.sleep(0.2)
    assert all(left <= 1 for _, left in shown(terminal)), shown(terminal)
    assert 30 < max(percent for percent, _ in shown(terminal)) <= 98


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"generating tiny": "soon"}', '{"generating tiny": -3}']
)
def test_a_broken_record_is_ignored(terminal, text):
    terminal = terminal()
    bars.DURATIONS.parent.mkdir()
    bars.DURATIONS.write_text(text)
    with bars.expecting("generating tiny", 100):
        time.sleep(0.1)
    assert shown(terminal)


def test_failed_work_leaves_no_record(terminal):
    terminal = terminal()
    with pytest.raises(KeyError), bars.expecting("generating tiny", 100):
        raise KeyError
    assert not bars.DURATIONS.exists()


def test_nobody_watches_nothing_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bars, "DURATIONS", tmp_path / "durations.json")
    with bars.expecting("generating", 1), bars.Meter("building", 3) as meter:
        meter.to(2)
        assert not meter.shown
    assert capsys.readouterr() == ("", "")
    assert not bars.DURATIONS.exists()


def test_a_terminal_of_unknown_width_shows_the_bar(terminal, monkeypatch):
    """A pseudo-terminal without a size, as in containers, says 0 columns."""
    monkeypatch.setattr("shutil.os.get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    monkeypatch.delenv("COLUMNS", raising=False)
    terminal = terminal()
    with bars.Meter("building", 2) as meter:
        meter.to(1)
        assert list(bars.progress([5], "pictures")) == [5]
    assert "building:  50%" in terminal.getvalue()
    assert "pictures:   0%" in terminal.getvalue()
