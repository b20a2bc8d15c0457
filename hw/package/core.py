"""``potvit.core``: the package for FuseSoC (CAPI2)."""

from __future__ import annotations

from collections.abc import Sequence

from hw.package.ipxact import LIBRARY, VENDOR

#: The waivers' path in the package.
WAIVERS = "lint/verilator_waivers.vlt"


def core_name(top: str, version: str) -> str:
    """Vendor, library, name and version, as FuseSoC writes them."""
    return f"{VENDOR}:{LIBRARY}:{top}:{version}"


def core_file(top: str, version: str, title: str, files: Sequence[str]) -> str:
    """The text of ``potvit.core``; ``files`` are the package's sources (those of ``rtl`` count)."""
    rtl = "\n".join(f"      - {path}" for path in files if path.startswith("rtl/"))
    return f"""CAPI=2:
name: {core_name(top, version)}
description: {title}

filesets:
  rtl:
    files:
{rtl}
    file_type: verilogSource
  waivers:
    files:
      - {WAIVERS}
    file_type: vlt
  constraints:
    files:
      - constraints/potvit.sdc
    file_type: SDC

targets:
  default: &default
    filesets:
      - rtl
    toplevel: {top}
  lint:
    <<: *default
    description: Verilator with all warnings
    filesets:
      - rtl
      - waivers
    flow: lint
    flow_options:
      tool: verilator
      verilator_options:
        - -Wall
"""
