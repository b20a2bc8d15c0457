"""The environment of our own tools: what the caller's shell has set for others stays out of it.

A variable like ``COCOTB_TESTCASE`` or ``MAKEFLAGS`` changes what cocotb, make or a compiler does,
and with it what is built, compared or skipped. `tool_environment` is what every child process
gets; `forget_foreign` does the same for libraries inside this process, which read theirs when they
are imported. This module runs on the standard library alone, because the set-up uses it.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from golden.support.errors import PotvitError
from golden.support.locations import BUILD

#: Variables that are meant for programs of the same kind as ours, started by somebody else.
_FOREIGN = re.compile(
    "|".join(
        (
            # cocotb and its simulator interface, names of its first version included
            "(COCOTB|GPI|PYGPI)_.*", "COVERAGE(_RCFILE)?", "LIBPYTHON_LOC", "MODULE", "PLUSARGS",
            "RANDOM_SEED", "TESTCASE", "TOPLEVEL(_LANG)?",
            # make, and what Verilator's makefile takes from it
            "(GNU)?MAKE(FLAGS|FILES|LEVEL|OVERRIDES)", "MFLAGS", "AR", "CC", "CXX", "LINK",
            "(C|CPP|CXX|LD)FLAGS", "LDLIBS", "OBJCACHE", "OPT(_FAST|_SLOW|_GLOBAL)?",
            "(CFG|USER|VK|VM)_.*", "SYSTEMC(_.*)?", "VERILATOR_.*",
            # compilers and perl
            "COMPILER_PATH", "DEPENDENCIES_OUTPUT", "GCC_.*", "SUNPRO_DEPENDENCIES",
            "PERL5(DB|OPT)",
            # Python itself, but for what neither adds code nor changes what code does
            "PYTHON(?!(DONTWRITEBYTECODE|HASHSEED|PYCACHEPREFIX|UNBUFFERED|UTF8)$).*",
            # Amaranth's and YoWASP's tools, drawing
            "AMARANTH_.*", "YOSYS", "YOWASP_MOUNT", "MATPLOTLIBRC", "MPLBACKEND",
            # what our own benches are told by the test that starts them
            "POTVIT_(BENCH_.*|CASES|DRAM_.*|JOB)",
        )
    )
)  # fmt: skip

#: What pip may be told from outside: where packages come from and how to get there. Where they go,
#: and which, is the set-up's business.
_PIP = re.compile(
    "PIP_(CACHE_DIR|CERT|CLIENT_CERT|CONFIG_FILE|DEFAULT_TIMEOUT|(EXTRA_)?INDEX_URL|FIND_LINKS|"
    "KEYRING_PROVIDER|NO_CACHE_DIR|NO_INDEX|PROXY|RETRIES|TIMEOUT|TRUSTED_HOST)"
)


def is_foreign(name: str) -> bool:
    """Whether our tools must not see the variable ``name``."""
    return _FOREIGN.fullmatch(name) is not None


def tool_environment(**own: str) -> dict[str, str]:
    """This process's environment without what is foreign, with ``own``, and with a cache to use."""
    kept = {name: value for name, value in os.environ.items() if not is_foreign(name)}
    return kept | _cache() | own


def forget_foreign() -> None:
    """Take what is foreign out of this process's environment, and have a cache in it."""
    for name in [name for name in os.environ if is_foreign(name)]:
        del os.environ[name]
    os.environ.update(_cache())


def pip_environment() -> dict[str, str]:
    """`tool_environment` without what would have pip install elsewhere or something else."""
    found = tool_environment()
    return {k: v for k, v in found.items() if not k.startswith("PIP_") or _PIP.fullmatch(k)}


def _cache() -> dict[str, str]:
    """Where compiled tools are kept: the user's cache where it can be written, else ``build/``.

    YoWASP's tools, Amaranth's Yosys and matplotlib stop or complain without such a place.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if _writable(Path(home)):
        return {}
    own = (BUILD / "cache").absolute()
    return {"XDG_CACHE_HOME": str(own), "MPLCONFIGDIR": str(own / "matplotlib")}


def _writable(folder: Path) -> bool:
    """Whether a file can be made in ``folder``, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def is_plain(path: Path) -> bool:
    """Whether compilers, make and the shell take ``path`` as it stands.

    ASCII letters, digits and ``. _ - + @ /`` are; blanks, quotes and the like are not, and nor are
    other letters, which Verilator writes into its makefiles as escapes that make does not read.
    """
    return re.fullmatch(r"[A-Za-z0-9._+@/-]*", str(path)) is not None


def require_plain(path: Path) -> None:
    """Refuse a path that make and compilers would take apart.

    Raises:
        PotvitError: names the letter that is in the way.
    """
    if not is_plain(path):
        wrong = next(x for x in str(path) if not is_plain(Path(x)))
        raise PotvitError(
            f"{str(path)!r} holds {wrong!r}, which make and compilers take apart: "
            "move the project to a path of plain letters, digits and . _ - + @"
        )
