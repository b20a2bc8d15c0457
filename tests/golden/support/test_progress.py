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
    """Makes standard error a terminal; paces go to a file of the test's own."""
    monkeypatch.setattr(bars, "PACES", tmp_path / "build" / "paces.json")
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
    with bars.expecting("generating base", 300):  # three times the work, in a moment all the same
        time.sleep(0.3)
    assert all(left <= 1 for _, left in shown(terminal)), shown(terminal)
    assert 10 < max(percent for percent, _ in shown(terminal)) < 95


def test_work_that_takes_longer_is_never_said_to_be_done(terminal):
    terminal = terminal()
    with bars.expecting("generating tiny", 0.05):
        time.sleep(0.4)
    assert max(percent for percent, _ in shown(terminal)) == 91


def test_what_is_done_for_certain_corrects_the_expectation(monkeypatch):
    now = 0.0
    monkeypatch.setattr(bars.time, "monotonic", lambda: now)
    pace = bars.Pace("compiling", 100)
    now = 50.0
    assert pace.share() == pytest.approx(0.5)
    pace.correct(0.1)
    assert pace.share() == pytest.approx(0.1)
    now = 250.0
    assert pace.share() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"generating": "soon"}', '{"generating": -3}', '{"generating": NaN}']
)
def test_a_broken_record_is_ignored(terminal, text):
    terminal = terminal()
    bars.PACES.parent.mkdir()
    bars.PACES.write_text(text)
    with bars.expecting("generating tiny", 100):
        time.sleep(0.1)
    assert all(left > 90 for _, left in shown(terminal))


def test_failed_work_leaves_no_record(terminal):
    terminal = terminal()
    with pytest.raises(KeyError), bars.expecting("generating tiny", 100):
        raise KeyError
    assert not bars.PACES.exists()


def test_nobody_watches_nothing_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bars, "PACES", tmp_path / "paces.json")
    with bars.expecting("generating", 1), bars.Meter("building", 3) as meter:
        meter.to(2)
        assert not meter.shown
    assert capsys.readouterr() == ("", "")
    assert not bars.PACES.exists()


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
