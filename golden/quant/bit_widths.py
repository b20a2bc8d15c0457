"""How many bits each layer's weights and inputs have: presets, and files of patterns."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from golden.support.errors import PotvitError


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Bits of one layer's ``weights`` and of the ``activations`` that it reads, 8 or 4 each."""

    weights: int = 8
    activations: int = 8


#: The pairs that there are, by the names that presets and files give them.
NAMED: Mapping[str, Widths] = MappingProxyType(
    {
        "w8a8": Widths(),
        "w4a8": Widths(weights=4),
        "w4a4": Widths(weights=4, activations=4),
    }
)
#: Every preset gives its pair to the blocks; patch embedding and head keep 8 bits.
PRESETS: Mapping[str, Mapping[str, Widths]] = MappingProxyType(
    {name: {"blocks.*": widths} if widths != Widths() else {} for name, widths in NAMED.items()}
)
#: The layers outside the blocks: one reads pixels, the other is measured best with 8 bits.
OUTSIDE = ("patch_embed", "head")
#: The layers of a block that read the same LayerNorm.
SHARING = ("q", "k", "v")


@dataclass(frozen=True, kw_only=True)
class BitMap:
    """Widths per linear node: ``patterns`` (shell style) to `Widths`; the last match wins."""

    name: str = "w8a8"
    patterns: Mapping[str, Widths] = field(default_factory=dict)

    def widths(self, node: str) -> Widths:
        """Return a node's widths; 8 and 8 where no pattern matches."""
        found = [w for p, w in self.patterns.items() if fnmatch.fnmatchcase(node, p)]
        return found[-1] if found else Widths()

    def bits(self, node: str) -> int:
        """Return the weight bits of a node."""
        return self.widths(node).weights

    def activations(self, node: str) -> int:
        """Return the bits of what a node reads."""
        return self.widths(node).activations

    def check(self, nodes: Iterable[str]) -> None:
        """Refuse a map that the network cannot follow.

        Raises:
            PotvitError: a pattern matches none of ``nodes``; a layer outside the blocks is to
                read 4-bit activations; layers that read the same edge disagree on its width.
        """
        names = list(nodes)
        for pattern in self.patterns:
            if not fnmatch.filter(names, pattern):
                raise PotvitError(
                    f"bit-width map {self.name}: {pattern!r} matches no layer "
                    f"(layers are {', '.join(names[:6])}, ...)"
                )
        for name in names:
            if name in OUTSIDE and self.activations(name) == 4:
                raise PotvitError(
                    f"bit-width map {self.name}: {name} cannot read 4-bit activations: give it "
                    "8 or 4 bits of weights alone"
                )
        self._check_shared(names)

    def _check_shared(self, names: Sequence[str]) -> None:
        for name in names:
            block, _, part = name.rpartition(".")
            if part != SHARING[0]:
                continue
            of = {other: self.activations(f"{block}.{other}") for other in SHARING}
            if len(set(of.values())) > 1:
                found = ", ".join(f"{other} {bits}" for other, bits in of.items())
                raise PotvitError(
                    f"bit-width map {self.name}: {block}.q, k and v read one LayerNorm, but their "
                    f"activations have {found} bits: give all three the same"
                )


def bit_map(text: str) -> BitMap:
    """Return a preset, or read a JSON file of node-name patterns to widths.

    A width is the weights' bits, 8 or 4, or a pair by name, such as "w4a4". The map is named
    after the file's stem. Raises ``PotvitError`` saying what is wrong with it.
    """
    if text in PRESETS:
        return BitMap(name=text, patterns=dict(PRESETS[text]))
    path = Path(text)
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PotvitError(
            f"bits {text!r} is neither a preset ({', '.join(PRESETS)}) nor a file"
        ) from None
    except (OSError, ValueError) as error:
        raise PotvitError(f"bit-width map {text}: no readable JSON ({error})") from None
    if not isinstance(read, dict):
        raise PotvitError(f"bit-width map {text}: expected an object of patterns to bits")
    patterns = {str(pattern): _widths(text, pattern, bits) for pattern, bits in read.items()}
    return BitMap(name=path.stem, patterns=patterns)


def _widths(text: str, pattern: str, bits: object) -> Widths:
    if isinstance(bits, str) and bits in NAMED:
        return NAMED[bits]
    if bits in (4, 8) and isinstance(bits, int):
        return Widths(weights=bits)
    raise PotvitError(
        f"bit-width map {text}: {pattern!r} has {bits!r} bits, not 4 or 8 or one of "
        f"{', '.join(NAMED)} (4-bit activations need 4-bit weights)"
    )
