"""Set up the virtual environment: what pyproject.toml asks for, as requirements.lock pins it.

``python setup_venv.py VENV STAMP`` checks the system's tools, creates VENV where it is missing
or was left half-made, installs the pins and writes STAMP last. STAMP holds a digest of the
two: when pyproject.toml changed elsewhere, nothing is installed again. Runs on the standard
library alone, because nothing else is there yet.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

#: Copied into the virtual environment: it makes ``import timm`` work there.
SHIM = Path(__file__).resolve().parents[1] / "golden" / "catalogue" / "torchvision_shim.py"
LOCK = Path("requirements.lock")
_INSTALLED = "from importlib.metadata import version; version('torch'); version('potvit')"


def fail(message: str) -> NoReturn:
    """Print one line and stop with status 2."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def check_system() -> None:
    """Name the first required thing that the machine lacks, and its package."""
    from golden.support.requirements import REQUIREMENTS

    for row in REQUIREMENTS:
        if row.required and row.probe() is False:
            fail(row.message())


def check_place() -> None:
    """Refuse a folder that the tools installed here could not work in."""
    from golden.support.environment import require_plain
    from golden.support.errors import PotvitError

    try:
        require_plain(Path.cwd())
    except PotvitError as error:
        fail(str(error))


def pins_digest(table: dict[str, Any]) -> str:
    """Digest of all that decides what gets installed."""
    project = table["project"]
    pins = [
        table["build-system"]["requires"],
        project["dependencies"],
        project["optional-dependencies"],
        project["version"],
        LOCK.read_text(encoding="utf-8"),
        SHIM.read_text(encoding="utf-8"),
    ]
    return hashlib.sha256(json.dumps(pins).encode()).hexdigest()


def make_timm_importable(venv: Path) -> None:
    """Have every Python of VENV declare what torchvision may lack (see SHIM), for any program."""
    for packages in venv.glob("lib/python*/site-packages"):
        shutil.copyfile(SHIM, packages / "potvit_torchvision.py")
        line = "import potvit_torchvision; potvit_torchvision.install()\n"
        (packages / "potvit_torchvision.pth").write_text(line, encoding="utf-8")


def status_of(*command: str) -> int:
    """Exit status of a step, which gets nothing that would send packages elsewhere."""
    from golden.support.environment import pip_environment

    return subprocess.run(command, env=pip_environment(), check=False).returncode


def run(*command: str) -> None:
    """Run a step; its failure is the set-up's failure."""
    if (status := status_of(*command)) != 0:
        fail(f"set-up step failed with status {status}: {' '.join(command)}")


def main() -> None:
    """Bring VENV to the pins and write STAMP."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python may well run this
        version = ".".join(map(str, sys.version_info[:3]))
        fail(f"Python 3.11 or newer is needed, {sys.executable} is {version} (Debian: python3)")
    # The script is run by its path: the project's own modules lie beside its folder.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import tomllib  # first part of Python in 3.11: imported only once that is known

    venv, stamp = Path(sys.argv[1]), Path(sys.argv[2])
    table = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    digest = pins_digest(table)
    python = venv / "bin" / "python"
    if stamp.exists() and stamp.read_text(encoding="utf-8").strip() == digest and python.exists():
        with contextlib.suppress(OSError):  # a checkout that cannot be written needs no new date
            stamp.touch()
        return
    check_place()
    check_system()

    # The marker lives from the venv's creation to the end of its first installation, so a
    # half-made one is told from one that only needs an update.
    marker = venv / ".unfinished"
    if marker.exists() or not (python.exists() and (venv / "bin" / "pip").exists()):
        print(f"creating {venv}", file=sys.stderr)
        venv.mkdir(parents=True, exist_ok=True)
        marker.touch()
        run(sys.executable, "-m", "venv", "--clear", str(venv))
        marker.touch()
    # torch by itself first: an index that has a CPU build of this version is then asked
    # for exactly it, before anything that only requires "torch" is resolved.
    lock = LOCK.read_text(encoding="utf-8").splitlines()
    torch_pin = next(line.split()[0] for line in lock if line.startswith("torch=="))
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-user"]
    pip += ["--constraint", str(LOCK)]
    if not sys.stdout.isatty():
        pip.append("--quiet")
    print("installing the pinned packages (minutes the first time)", file=sys.stderr)
    run(*pip, torch_pin)
    run(*pip, "--editable", ".[dev]")
    # A pip.conf with a target or a prefix would have sent them elsewhere, without an error.
    if status_of(str(python), "-I", "-c", _INSTALLED) != 0:
        fail(f"pip did not install into {venv}: see `{python} -m pip config list` (target, prefix)")
    make_timm_importable(venv)
    marker.unlink(missing_ok=True)
    partial = stamp.with_suffix(".tmp")
    partial.write_text(digest + "\n", encoding="utf-8")
    partial.replace(stamp)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        fail(f"set-up: {error.filename or 'a file'}: {error.strerror}")
    except KeyboardInterrupt:
        fail("set-up interrupted: the next make takes it up again")
