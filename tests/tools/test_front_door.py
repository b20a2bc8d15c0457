import subprocess
import sys
from pathlib import Path

import pytest

from golden.support.command_line import main
from golden.support.errors import PotvitError
from tools.readme_tables import PAGES, rewritten

ROOT = Path(__file__).resolve().parents[2]


def test_readme_tables_are_current(monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = 0
    for page in PAGES:
        text = page.read_text()
        blocks += text.count("<!-- table: ")
        assert rewritten(text, page) == text, f"{page}: run `make readme`"
    assert blocks >= 12


def test_help_imports_no_heavy_library():
    code = (
        "import sys; from golden.__main__ import COMMANDS\n"
        "from golden.support.command_line import main\n"
        "try: main('golden', COMMANDS, ['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'amaranth', 'timm', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


class FakeCommand:
    def __init__(self, outcome):
        self.outcome = outcome

    def add_arguments(self, parser):
        parser.add_argument("--n", type=int, default=1)

    def run(self, args):
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome + args.n


@pytest.mark.parametrize(
    ("outcome", "status", "message"),
    [
        (4, 5, ""),
        (PotvitError("no such model"), 2, "error: no such model\n"),
        (OSError(28, "No space left on device", "x.bin"), 2, "error: x.bin: No space left"),
        (PermissionError(13, "Permission denied", "out"), 2, "error: out: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_command_outcomes(monkeypatch, capsys, outcome, status, message):
    monkeypatch.setitem(sys.modules, "fake_command", FakeCommand(outcome))
    assert main("potvit", {"do": ("fake_command", "does it")}, ["do"]) == status
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == (1 if message else 0)


def test_bugs_are_not_hidden(monkeypatch):
    monkeypatch.setitem(sys.modules, "fake_command", FakeCommand(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main("potvit", {"do": ("fake_command", "does it")}, ["do"])
