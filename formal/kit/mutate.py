"""Units with a fault: their source, changed in one place, executed beside the sound one."""

from __future__ import annotations

import inspect
import sys
import types
from typing import Any

from formal.kit.proof import Mutant


def mutated(target: Any, mutant: Mutant) -> Any:
    """``target`` from its source with ``mutant`` applied.

    Raises ``ValueError`` unless the text to change occurs exactly once: a mutant that no longer
    fits the source must not go unnoticed.
    """
    module = sys.modules[target.__module__]
    sound = inspect.getsource(target)
    count = sound.count(mutant.old)
    if count != 1:
        raise ValueError(f"{target.__name__} has {mutant.old!r} {count} times, not once")
    source = inspect.getsource(module).replace(sound, sound.replace(mutant.old, mutant.new))
    changed = types.ModuleType(target.__module__)
    changed.__file__ = module.__file__
    code = compile(source, f"<mutant of {target.__name__}>", "exec")
    exec(code, changed.__dict__)
    return getattr(changed, target.__name__)
