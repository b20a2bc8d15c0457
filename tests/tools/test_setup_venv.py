import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
#: What the set-up reads of a checkout.
NEEDED = ("pyproject.toml", "requirements.lock")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def project(tmp_path):
    """A folder with nothing but what the set-up reads."""
    for name in NEEDED:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def set_up(folder, **environment):
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "setup_venv.py", ".venv", ".venv/.stamp"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("tool", ["g++", "make", "perl"])
def test_missing_tool_is_named_in_one_line(project, tool):
    tools = project / "bin"
    tools.mkdir()
    for other in {"g++", "make", "perl"} - {tool}:
        (tools / other).symlink_to("/bin/true")
    done = set_up(project, PATH=str(tools))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tool} is missing: install it (Debian package: {tool})")
    assert done.stderr.count("\n") == 1
    assert not (project / ".venv").exists()


def pip_that_records(project, status=0):
    """A virtual environment whose python only writes down what it was asked."""
    bin_folder = project / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    for name in ("python", "pip"):
        path = bin_folder / name
        path.write_text(f'#!/bin/sh\necho "$@" >> {project}/asked\nexit {status}\n')
        path.chmod(0o755)


def test_installs_torch_first_and_once(project):
    pip_that_records(project)
    assert set_up(project).returncode == 0
    *asked, check = (project / "asked").read_text().splitlines()
    assert "importlib.metadata" in check
    assert [line.split()[-1] for line in asked] == ["torch==2.13.0", ".[dev]"]
    assert all("--constraint requirements.lock" in line for line in asked)

    stamp = project / ".venv" / ".stamp"
    os.utime(stamp, (0, 0))
    assert set_up(project).returncode == 0
    assert (project / "asked").read_text().splitlines() == [*asked, check]
    assert stamp.stat().st_mtime > 0

    changed = (project / "requirements.lock").read_text().replace("tqdm==", "tqdm==0.")
    (project / "requirements.lock").write_text(changed)
    assert set_up(project).returncode == 0
    assert len((project / "asked").read_text().splitlines()) == 6


def test_only_where_packages_come_from_reaches_pip(project):
    pip_that_records(project)
    python = project / ".venv" / "bin" / "python"
    python.write_text(f"#!/bin/sh\nenv >> {project}/environment\n")
    elsewhere = {f"PIP_{name}": "1" for name in ("USER", "TARGET", "PREFIX", "ROOT", "NO_DEPS")}
    sources = {"PIP_INDEX_URL": "https://i", "PIP_EXTRA_INDEX_URL": "https://e"}
    others = {"PYTHONPATH": "/elsewhere", "CXXFLAGS": "-O0", "MAKEFLAGS": "k"}
    assert set_up(project, **elsewhere, **sources, **others).returncode == 0
    seen = (project / "environment").read_text()
    assert "PIP_INDEX_URL=https://i\n" in seen
    assert "PIP_EXTRA_INDEX_URL=https://e\n" in seen
    assert not [name for name in (elsewhere | others) if f"\n{name}=" in f"\n{seen}"]


def test_packages_that_went_elsewhere_are_noticed(project):
    pip_that_records(project)
    python = project / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *importlib.metadata*) exit 1;; esac\n')
    done = set_up(project)
    assert done.returncode == 2
    assert "error: pip did not install into .venv" in done.stderr
    assert not (project / ".venv" / ".stamp").exists()


@pytest.mark.parametrize("name", ["a folder", "it's", "x$y", "a;b", "a#b", "a:b", "(1)", "größe"])
def test_a_folder_that_make_takes_apart_is_refused_in_one_line(project, name):
    odd = project / name
    odd.mkdir()
    for name in NEEDED:
        shutil.copy(project / name, odd)
    done = set_up(odd)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "move the project" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (odd / ".venv").exists()


def test_plain_letters_and_signs_are_no_obstacle(project):
    folder = project / "a-b_c+d@1.0"
    folder.mkdir()
    for name in NEEDED:
        shutil.copy(project / name, folder)
    pip_that_records(folder)
    assert set_up(folder).returncode == 0


def test_a_place_that_cannot_be_written_is_one_line(project):
    (project / ".venv").write_text("in the way")
    done = set_up(project)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: set-up: .venv: ")
    assert "Traceback" not in done.stderr


def test_every_python_of_the_environment_imports_timm(project):
    """Not only the project's: what the set-up leaves in site-packages is used by a bare Python."""
    pip_that_records(project)
    packages = project / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    assert set_up(project).returncode == 0
    hook = (packages / "potvit_torchvision.pth").read_text()
    assert hook.startswith("import ")  # `site` runs such a line
    code = f"import sys; sys.path.append({str(packages)!r}); before = set(sys.modules); {hook}\n"
    code += "assert 'torch' not in sys.modules and 'golden' not in sys.modules\n"
    code += "import timm, torchvision; assert torchvision.__loader__ is torchvision.__spec__.loader"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_failed_installation_leaves_no_stamp(project):
    pip_that_records(project, status=1)
    done = set_up(project)
    assert done.returncode == 2
    assert "error: set-up step failed with status 1" in done.stderr
    assert not (project / ".venv" / ".stamp").exists()


def test_half_made_environment_is_made_anew(project):
    pip_that_records(project)
    (project / ".venv" / ".unfinished").touch()
    # The real venv is made; its pip then has nowhere to install from.
    done = set_up(project, PIP_NO_INDEX="1", PIP_FIND_LINKS="/nowhere", PIP_CONFIG_FILE=os.devnull)
    assert "creating .venv" in done.stderr
    assert not (project / "asked").exists()
    assert (project / ".venv" / ".unfinished").exists()
    assert not (project / ".venv" / ".stamp").exists()


def test_every_direct_dependency_is_pinned_exactly_with_its_reason():
    """The lock pins all that pyproject.toml asks for, within its ranges, and nothing twice."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))
    assert len(pins) == len(re.findall(r"^[^#\n]", lock, re.MULTILINE)) >= 60
    project = PYPROJECT["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = [Requirement(line) for found in lists for line in found]
    direct = [found for found in asked if found.name != "potvit"]
    assert len(direct) >= 30
    for wanted in direct:
        assert pins[wanted.name] in wanted.specifier, wanted
        line = next(x for x in lock.splitlines() if x.startswith(f"{wanted.name}=="))
        assert len(line.partition("#")[2].split()) >= 2, f"{wanted} has no reason"
