"""``torch.load`` for files of unknown origin: tensors and plain containers, nothing else runs.

A checkpoint of a training framework holds more than tensors: optimizer state, configuration
objects, callbacks. torch's own restricted loader refuses such a file as a whole. Here the classes
that plain data needs are real, and every other name in the pickle becomes an inert stand-in that
swallows what the file wants done to it, so that the tensors beside it can be read. No name is
imported and no function of the file's choice is called.
"""

from __future__ import annotations

import argparse
import collections
import pickle
import types
from pathlib import Path
from typing import Any

import torch


class Inert:
    """Stands in for an object of a class that is not loaded; ``origin`` is its dotted name."""

    origin = "?"

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Inert:
        """Make an empty stand-in whatever the arguments."""
        return super().__new__(cls)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_kwargs: Any) -> Inert:
        """Stay what it is: a file may call what it made."""
        return self

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def append(self, _item: Any) -> None:
        """Swallow an item of a list."""

    def extend(self, _items: Any) -> None:
        """Swallow items of a list."""

    def add(self, _item: Any) -> None:
        """Swallow an item of a set."""


class InertDict(dict[Any, Any]):
    """A dictionary in place of any subclass of it that frameworks use for settings."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> InertDict:
        """Start empty: a default factory or the like is dropped."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **_kwargs: Any) -> None:
        super().__init__(*[a for a in args if isinstance(a, dict | list)])

    def __setstate__(self, _state: Any) -> None:
        pass


def _rebuilders() -> dict[str, Any]:
    """Names that tensors need; storages are torch's own business."""
    names = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter",
             "_rebuild_parameter_with_state")  # fmt: skip
    found = {f"torch._utils.{name}": getattr(torch._utils, name) for name in names}
    dtypes = {f"torch.{name}": value for name, value in vars(torch).items()
              if isinstance(value, torch.dtype)}  # fmt: skip
    return found | dtypes


_REAL: dict[str, Any] = {
    **_rebuilders(),
    "torch.Size": torch.Size,
    "torch.device": torch.device,
    "torch.storage.UntypedStorage": torch.UntypedStorage,
    "torch.nn.parameter.Parameter": torch.nn.Parameter,
    "collections.OrderedDict": collections.OrderedDict,
    "collections.defaultdict": InertDict,
    "collections.Counter": InertDict,
    "argparse.Namespace": argparse.Namespace,
    "types.SimpleNamespace": types.SimpleNamespace,
    "pytorch_lightning.utilities.parsing.AttributeDict": InertDict,
    "lightning.fabric.utilities.data.AttributeDict": InertDict,
    "lightning_fabric.utilities.data.AttributeDict": InertDict,
    "easydict.EasyDict": InertDict,
    "addict.addict.Dict": InertDict,
    "mmengine.config.config.ConfigDict": InertDict,
    **{f"builtins.{t.__name__}": t for t in (set, frozenset, complex)},
}


class Unpickler(pickle.Unpickler):
    """Finds the few real classes and makes a stand-in for every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class of ``_REAL`` or a new subclass of `Inert`; never import."""
        origin = f"{module.replace('__builtin__', 'builtins')}.{name}"
        if origin in _REAL:
            return _REAL[origin]
        return type(name.rpartition(".")[2], (Inert,), {"origin": origin})


def _load(file: Any, **options: Any) -> Any:
    return Unpickler(file, **options).load()


#: What ``torch.load`` wants in place of the ``pickle`` module.
_MODULE = types.SimpleNamespace(__name__="safe_pickle", Unpickler=Unpickler, load=_load)


def load(path: Path) -> Any:
    """Return what ``torch.save`` wrote, tensors on the CPU, other objects as `Inert`.

    Raises whatever a damaged file makes torch or pickle raise; ``ValueError`` for TorchScript.
    """
    with path.open("rb") as stream:
        if stream.read(2) == b"PK":
            reader = torch._C.PyTorchFileReader(str(path))
            if "constants.pkl" in reader.get_all_records():
                raise ValueError("it is a TorchScript program")
        stream.seek(0)
        # Given a path, torch would go by its suffix.
        return torch.load(stream, map_location="cpu", pickle_module=_MODULE, weights_only=False)
