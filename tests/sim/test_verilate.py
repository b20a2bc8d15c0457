"""What a machine must have before Verilator is started."""

import subprocess

import pytest

from golden.errors import PotvitError
from sim import verilate


@pytest.mark.parametrize(("header", "package"), [("zlib.h", "zlib1g-dev"), ("lz4.h", "liblz4-dev")])
def test_a_missing_header_for_waves_is_named_with_its_package(monkeypatch, header, package):
    def probe(command, **_):
        return subprocess.CompletedProcess(command, int(header in command))

    monkeypatch.setattr(verilate.subprocess, "run", probe)
    with pytest.raises(PotvitError, match=f"{header}.*{package}"):
        verilate._require_wave_headers()
