"""What all models link is compiled once: here by a make that only pretends to."""

import pytest

from golden.support.errors import PotvitError
from sim.simulator.runtime import CHECKSUM, provide_runtime

OBJECTS = {"verilated.o": b"one", "verilated_vpi.o": b"two"}


class Make:
    """Compiles for one model: ``obj`` is its folder, ``plans`` the commands that it would run."""

    def __init__(self, obj, plans="g++ -Os verilated.cpp\n", fails=False):
        self.obj, self.plans, self.fails, self.made = obj, plans, fails, 0
        obj.mkdir()

    def __call__(self, arguments):
        assert arguments[:3] == ["-f", "runtime.mk", "runtime"]
        assert "include Vtop.mk\n" in (self.obj / "runtime.mk").read_text()
        if "-n" in arguments:
            return self.plans
        if self.fails:
            raise PotvitError("make failed: no space")
        for name, content in OBJECTS.items():
            (self.obj / name).write_bytes(content)
        self.made += 1
        return ""


@pytest.fixture
def provided(tmp_path):
    """``provided(fingerprint, **plans)``: how often make compiled for one more model."""
    models = iter(range(100))

    def provide(fingerprint="g++ 12", **plans):
        make = Make(tmp_path / f"obj{next(models)}", **plans)
        provide_runtime(make.obj, tmp_path / "kept", make, [fingerprint])
        assert {p.name: p.read_bytes() for p in make.obj.glob("*.o")} == OBJECTS
        return make.made

    return provide


def test_the_next_model_gets_the_same_objects(provided):
    assert [provided(), provided(), provided()] == [1, 0, 0]


def test_other_commands_or_tools_make_other_objects(provided):
    assert provided() == 1
    assert provided(plans="g++ -Os -DVM_TRACE_FST=1 verilated.cpp\n") == 1
    assert provided("g++ 13") == 1
    assert [provided(), provided("g++ 13")] == [0, 0]


@pytest.mark.parametrize("fault", ["cut", "removed", "more", "unsigned"])
def test_broken_objects_are_made_again_and_said(provided, tmp_path, capsys, fault):
    provided()
    (folder,) = (p for p in (tmp_path / "kept").iterdir() if p.is_dir())
    if fault == "cut":
        (folder / "verilated.o").write_bytes(b"o")
    elif fault == "more":
        (folder / "main.o").write_bytes(b"")
    else:
        (folder / ("verilated.o" if fault == "removed" else CHECKSUM)).unlink()
    assert provided() == 1
    said = capsys.readouterr().err
    assert said == f"Verilator's runtime in {folder} is broken: it is made again\n"
    assert provided() == 0


def test_a_failed_make_keeps_nothing(provided, tmp_path):
    with pytest.raises(PotvitError, match="no space"):
        provided(fails=True)
    assert [p.suffix for p in (tmp_path / "kept").iterdir()] == [".lock"]
    assert provided() == 1
