"""The one place where operators meet hardware: `hw.operators`, looked up when it is asked for.

The golden model works without Amaranth, and ``hw`` builds upon ``golden.ops``; so the way back is
an import at the time of the call, named in a string.
"""

from __future__ import annotations

import importlib
from typing import Any


def hardware(operator: type) -> Any:
    """The component class that computes what ``operator`` (a class of `golden.ops`) does."""
    return importlib.import_module("hw.operators").COMPONENTS[operator]
