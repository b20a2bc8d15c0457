"""The bundle: one folder that holds a whole integer network, checked part by part.

``model.safetensors`` has every array (node constants as ``<node>.<field>``, exponents as
``exponent.<edge>``), ``manifest.json`` the graph, what made it and each part's sha256;
``tensors_000.safetensors`` and so on have every edge of real images. Reading needs neither torch
nor timm. The same graph gives the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from golden.graph import ir
from golden.ops.softmax import AttnFormat, CodeRule, ExpForm
from golden.ops.windows import PatchMerge, Windows
from golden.support.atomic_folder import AtomicFolder
from golden.support.errors import PotvitError

Array = npt.NDArray[Any]
FORMAT = "potvit-bundle"
VERSION = 2
MANIFEST = "manifest.json"
MODEL = "model.safetensors"
#: Packages whose versions decide the integers.
RECORDED = ("potvit", "numpy", "torch", "timm", "pillow", "scipy", "safetensors")


#: Fields of nodes that are parameter objects, kept in the manifest as their own fields.
_PARAMETERS: dict[str, Callable[..., Any]] = {
    "rule": CodeRule,
    "windows": Windows,
    "merge": PatchMerge,
}


def stream_name(index: int) -> str:
    """File name of the tensors of image ``index``."""
    return f"tensors_{index:03d}.safetensors"


def save_bundle(
    graph: ir.Graph, folder: Path, streams: Iterable[Mapping[str, Array]] | None = None
) -> None:
    """Write ``graph`` as a bundle; ``streams`` yields the tensors of one image at a time.

    The folder appears complete or not at all; an older bundle there is replaced. Raises
    ``PotvitError`` where something else is in the way, ``OSError`` where writing fails.
    """
    with AtomicFolder(folder, marker=MANIFEST) as work:
        parts = {MODEL: _write(work / MODEL, _arrays(graph))}
        for index, tensors in enumerate(streams or ()):
            parts[stream_name(index)] = _write(work / stream_name(index), dict(tensors))
        manifest = _manifest(graph, parts)
        manifest["sha256"] = _digest(manifest)
        text = json.dumps(manifest, indent=1) + "\n"
        (work / MANIFEST).write_text(text, encoding="utf-8")


def load_bundle(folder: Path) -> ir.Graph:
    """Read a bundle back, after checking every part that its manifest lists.

    Raises:
        PotvitError: no bundle, another version, or a part that is missing, truncated or altered.
    """
    manifest = read_manifest(folder)
    for name in manifest["parts"]:
        if name != MODEL:
            _read(folder, name, manifest)
    arrays = load(_read(folder, MODEL, manifest))
    try:
        tensors = {
            entry["name"]: ir.Tensor(
                name=entry["name"],
                shape=tuple(entry["shape"]),
                dtype=entry["dtype"],
                exponent=arrays[f"exponent.{entry['name']}"],
                kind=ir.Kind(entry["kind"]),
                bits=entry["bits"],
            )
            for entry in manifest["tensors"]
        }
        nodes = tuple(_node(entry, arrays) for entry in manifest["nodes"])
        return ir.Graph(
            tensors=tensors,
            nodes=nodes,
            input=manifest["input"],
            output=manifest["output"],
            meta=manifest["meta"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PotvitError(f"bundle {folder}: {MANIFEST} makes no graph ({error!r})") from None


def load_streams(folder: Path, index: int) -> dict[str, Array]:
    """Return every edge of exported image ``index`` by name, the input image included.

    Raises:
        PotvitError: the bundle has no such image, or the part is damaged.
    """
    manifest = read_manifest(folder)
    name = stream_name(index)
    if name not in manifest["parts"]:
        count = len(manifest["parts"]) - 1
        raise PotvitError(
            f"bundle {folder} has the tensors of {count} images, not of image {index}: "
            f"export it with --tensors {index + 1}"
        )
    return dict(load(_read(folder, name, manifest)))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the checked manifest.

    Raises:
        PotvitError: there is none, it is damaged, or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise PotvitError(f"{folder} is no bundle: it has no {MANIFEST}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PotvitError(f"bundle {folder}: {MANIFEST} is unreadable ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise PotvitError(f"bundle {folder}: {MANIFEST} describes no {FORMAT}")
    if manifest.get("version") != VERSION:
        raise PotvitError(
            f"bundle {folder} has version {manifest.get('version')}, this program reads {VERSION}: "
            "export it again"
        )
    if manifest.pop("sha256", None) != _digest(manifest):
        raise PotvitError(f"bundle {folder}: {MANIFEST} was altered: export it again")
    return manifest


def _manifest(graph: ir.Graph, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    versions = {}
    for package in RECORDED:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {
        "format": FORMAT,
        "version": VERSION,
        "versions": versions,
        "parts": parts,
        "meta": _plain(graph.meta),
        "input": graph.input,
        "output": graph.output,
        "tensors": [
            {
                "name": t.name,
                "shape": list(t.shape),
                "dtype": t.dtype,
                "bits": t.bits,
                "kind": t.kind.value,
            }
            for t in graph.tensors.values()
        ],
        "nodes": [_entry(node) for node in graph.nodes],
    }


def _plain(value: Any) -> Any:
    """Only what JSON has, so that the digest survives reading back."""
    return json.loads(json.dumps(value))


def _entry(node: ir.Node) -> dict[str, Any]:
    """A node without its arrays, which are listed by name."""
    entry: dict[str, Any] = {"type": type(node).__name__, "arrays": sorted(ir.constants(node))}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, np.ndarray):
            continue
        if is_dataclass(value):
            value = {f.name: getattr(value, f.name) for f in fields(value)}
        entry[field.name] = value
    return _plain(entry)


def _node(entry: dict[str, Any], arrays: Mapping[str, Array]) -> ir.Node:
    values = dict(entry)
    kind = ir.NODE_TYPES[values.pop("type")]
    for name in values.pop("arrays"):
        values[name] = arrays[f"{values['name']}.{name}"]
    values["inputs"] = tuple(values["inputs"])
    if values.get("fmt") is not None:
        values["fmt"] = AttnFormat(values["fmt"])
    if "form" in values:
        values["form"] = ExpForm(values["form"])
    for name, parameters in _PARAMETERS.items():
        if values.get(name) is not None:
            values[name] = parameters(**values[name])
    return kind(**values)


def _arrays(graph: ir.Graph) -> dict[str, Array]:
    found = {f"exponent.{t.name}": t.exponent for t in graph.tensors.values()}
    for node in graph.nodes:
        found |= {f"{node.name}.{name}": value for name, value in ir.constants(node).items()}
    return found


def _write(path: Path, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Write one part and return what the manifest says about it."""
    data = save({name: np.ascontiguousarray(value) for name, value in arrays.items()})
    path.write_bytes(data)
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _read(folder: Path, name: str, manifest: dict[str, Any]) -> bytes:
    """Return a part's bytes after comparing them with the manifest."""
    wanted = manifest["parts"].get(name)
    if wanted is None:
        raise PotvitError(f"bundle {folder}: {MANIFEST} lists no {name}")
    try:
        data = (folder / name).read_bytes()
    except FileNotFoundError:
        raise PotvitError(f"bundle {folder}: {name} is missing: export it again") from None
    except OSError as error:
        raise PotvitError(f"bundle {folder}: {name} is unreadable ({error.strerror})") from None
    if len(data) != wanted["bytes"]:
        raise PotvitError(
            f"bundle {folder}: {name} has {len(data)} bytes instead of {wanted['bytes']}: "
            "it was truncated, export it again"
        )
    if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
        raise PotvitError(f"bundle {folder}: {name} was altered: export it again")
    return data


def _digest(manifest: dict[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
