"""What the caller's shell may set, and what our tools see of it."""

import os
from pathlib import Path

import pytest

from golden.support import environment
from golden.support.environment import (
    forget_foreign,
    is_plain,
    pip_environment,
    require_plain,
    tool_environment,
)
from golden.support.errors import PotvitError

FOREIGN = (
    "COCOTB_TEST_FILTER", "COCOTB_TESTCASE", "COCOTB_USER_COVERAGE", "COCOTB_PDB_ON_EXCEPTION",
    "COCOTB_MAX_FAILURES", "COCOTB_LIST_TESTS", "COCOTB_SCHEDULER_DEBUG", "GPI_EXTRA", "GPI_USERS",
    "PYGPI_USERS", "RANDOM_SEED", "TESTCASE", "TOPLEVEL", "COVERAGE", "MAKEFLAGS", "MAKEFILES",
    "GNUMAKEFLAGS", "CXX", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "OPT_FAST", "VM_TRACE",
    "VERILATOR_ROOT", "VERILATOR_BIN", "DEPENDENCIES_OUTPUT", "PERL5OPT", "PYTHONPATH",
    "PYTHONHOME", "PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONWARNINGS",
    "PYTHONIOENCODING", "AMARANTH_USE_YOSYS", "YOWASP_MOUNT", "MPLBACKEND", "POTVIT_BENCH_VECTORS",
)  # fmt: skip
OURS = (
    "HOME", "PATH", "POTVIT_DATA", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "CPATH", "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS", "HTTPS_PROXY", "TMPDIR", "LANG", "COV_CORE_SOURCE", "MODULEPATH",
)  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_meant_for_others_does_not_reach_our_tools(monkeypatch, name):
    monkeypatch.setenv(name, "x")
    assert name not in tool_environment()
    assert tool_environment(**{name: "ours"})[name] == "ours"
    forget_foreign()
    assert name not in os.environ


@pytest.mark.parametrize("name", OURS)
def test_what_is_the_users_stays(monkeypatch, name):
    value = os.environ.get(name, "/x")
    monkeypatch.setenv(name, value)
    forget_foreign()
    assert tool_environment()[name] == os.environ[name] == value


def test_pip_learns_where_packages_come_from_and_nothing_else(monkeypatch):
    wanted = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "PIP_CACHE_DIR")
    others = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PIP_CONSTRAINT",
              "PIP_NO_DEPS", "PIP_PYTHON", "PYTHONPATH", "PIP_PRE")  # fmt: skip
    for name in wanted + others:
        monkeypatch.setenv(name, "x")
    assert {n for n in pip_environment() if n in wanted + others} == set(wanted)


@pytest.mark.parametrize("home", ["/dev/null", "/proc/1/nothing"])
def test_a_home_that_cannot_be_written_gets_a_cache_of_our_own(monkeypatch, tmp_path, home):
    monkeypatch.setenv("HOME", home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    found = tool_environment()
    assert found["XDG_CACHE_HOME"] == str(tmp_path / "build" / "cache")
    assert Path(found["MPLCONFIGDIR"]).is_relative_to(tmp_path / "build")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "XDG_CACHE_HOME" not in tool_environment()


@pytest.mark.parametrize("letter", "' \"$`\\#%;:&()[]{}*?!|<>~=,\n\tößп日")
def test_paths_that_make_takes_apart(letter):
    path = Path(f"/home/a{letter}b")
    assert not is_plain(path)
    with pytest.raises(PotvitError, match="move the project") as error:
        require_plain(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["/home/ada/potvit-1.0_b+c@d", "relative/x"])
def test_paths_that_are_fine(path):
    require_plain(Path(path))


def test_no_test_sees_what_is_foreign():
    """The tests' own environment has been cleared of it, as a command's is."""
    assert [name for name in os.environ if environment.is_foreign(name)] in (
        [], ["AMARANTH_USE_YOSYS"]
    )  # fmt: skip
