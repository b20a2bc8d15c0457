"""Settings every test shares."""

import os
import signal
from pathlib import Path

# Before torch is imported: two workers share the machine, so each keeps to one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests use the weights at hand; the one that downloads switches this off for itself.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

from golden.support.environment import forget_foreign
from golden.support.requirements import missing

# The same environment as our commands have.
forget_foreign()

# A shell's background job ignores Ctrl-C, and so would every command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


#: Files that take longest: they begin first, so that no worker ends long after the others.
LONGEST = (
    "sim/system/test_network.py",
    "hw/attention/test_unit.py",
    "sim/commands/test_commands.py",
    "sim/system/test_axi.py",
    "hw/norm/test_unit.py",
    "hw/dma/test_store_unit.py",
    "hw/dma/test_gather.py",
    "hw/dma/test_load_unit.py",
    "hw/top/test_verilog.py",
    "synth/test_mapping.py",
)


def pytest_collection_modifyitems(items):
    """The files of `LONGEST` first, each whole and in its own order."""
    rank = {Path(__file__).parent / name: n for n, name in enumerate(LONGEST)}
    assert all(path.is_file() for path in rank), "a file of LONGEST is gone"
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real weights and photos that POTVIT_DATA names."""
    folder = os.environ.get("POTVIT_DATA")
    if not folder:
        pytest.skip("POTVIT_DATA is not set: no real weights and photos")
    return Path(folder).resolve()


def pytest_runtest_setup(item):
    """Skip what this machine cannot do, with the reason; what is required is never skipped."""
    for mark in item.iter_markers("needs"):
        if reason := missing(*mark.args):
            pytest.skip(reason)
