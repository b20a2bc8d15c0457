"""A compiled program: DRAM image, regions, predictions (`hw.program.file` has it as a file)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from golden.support.brief import brief
from golden.support.errors import PotvitError
from hw.formats.memories import Access
from hw.isa.instruction import INSTR_BYTES, Instr
from hw.lib.numbers import Array
from hw.program.regions import Extent, Region, Regions

#: A run is ended after so many times its predicted cycles, and so many more: a slow bus must fit.
WATCHDOG_TIMES, WATCHDOG_MORE = 10, 100_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a tensor lies in DRAM after its stores.

    ``words`` memory words of ``word_bytes`` bytes, each at a multiple of ``pitch``, are an array
    ``dims`` of ``dtype``; its axes in ``order`` merge into shape ``merged``, whose leading part
    ``crop`` is the tensor of shape ``shape``. With ``places`` it is rows of that tensor's last
    axis, and row ``i`` of the tensor is row ``places[i]`` of them.
    """

    offset: int
    words: int
    word_bytes: int
    pitch: int
    dtype: str
    dims: tuple[int, ...]
    order: tuple[int, ...]
    merged: tuple[int, ...]
    crop: tuple[int, ...]
    shape: tuple[int, ...]
    places: tuple[int, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes that the stores write."""
        return self.words * self.pitch

    def moved(self, offset: int) -> Layout:
        """The same words at ``offset``."""
        return replace(self, offset=offset)

    def unpack(self, dram: bytes | Array) -> Array:
        """The logical tensor in a copy of the DRAM window."""
        raw = np.frombuffer(dram, np.uint8, self.nbytes, self.offset)
        words = np.ascontiguousarray(raw.reshape(self.words, self.pitch)[:, : self.word_bytes])
        values = words.reshape(-1).view(np.dtype(self.dtype).newbyteorder("<"))
        merged = values.reshape(self.dims).transpose(self.order).reshape(self.merged)
        crop = merged[tuple(slice(n) for n in self.crop)]
        if self.places:
            crop = crop.reshape(-1, self.shape[-1])[list(self.places)]
        return np.ascontiguousarray(crop).reshape(self.shape).astype(self.dtype)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One stored tensor of the graph and where the program leaves it."""

    name: str
    layout: Layout


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """Prediction for one layer: cycles charged to it and how many the array computes in them."""

    name: str
    cycles: int
    array_busy: int
    macs: int


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the host needs to run one network on one configuration.

    ``config`` names the configuration and ``digest`` is its `Config.digest`: it runs on no other.
    ``image`` is the beginning of the DRAM window: parameters, then ``count`` instructions from
    ``entry``. The picture (uint8 HWC) goes to ``input_offset``, the next ones ``input_pitch`` bytes
    further on each; the graph's ``output`` (in ``logits``, which may also be features, and in
    ``more`` for further pictures) and checkpoints appear behind it, within ``window`` bytes;
    ``checkpoints`` is empty without them, else it holds every stored tensor, the output included.
    ``serial``: one instruction at a time. ``busy`` and ``timeline`` (unit, layer, start, end) are
    predictions in cycles, ``regions`` the parts of the window, ``memory`` gives used and available
    words of each buffer.
    ``dram_bytes`` are those that a run moves, its own fetch included, ``dram_bytes_least`` what it
    would be if every parameter came once; ``reasons`` say why the program is as it is.
    ``accesses`` (declared reads and writes of each instruction) is not saved.
    """

    config: str
    digest: int
    output: str
    model: str
    image: bytes
    entry: int
    count: int
    input_offset: int
    input_shape: tuple[int, int, int]
    logits: Layout
    checkpoints: tuple[Checkpoint, ...]
    window: int
    regions: Regions
    cycles: int
    macs: int
    peak_macs: int
    blocks: int
    layers: tuple[LayerCycles, ...]
    busy: dict[str, int]
    waits: dict[str, int]
    timeline: tuple[tuple[str, int, int, int], ...]
    memory: dict[str, tuple[int, int]]
    dram_bytes: int
    dram_bytes_least: int
    reasons: tuple[str, ...]
    input_pitch: int = 0
    serial: bool = False
    more: tuple[Layout, ...] = ()
    accesses: tuple[tuple[tuple[Access, ...], tuple[Access, ...]], ...] = field(
        default=(), compare=False
    )

    def __repr__(self) -> str:
        return brief(self)

    @property
    def input_bytes(self) -> int:
        """Size of a picture."""
        return math.prod(self.input_shape)

    @property
    def results(self) -> tuple[Layout, ...]:
        """Where the output of every picture is."""
        return (self.logits, *self.more)

    @property
    def pictures(self) -> int:
        """Pictures that one run works on."""
        return len(self.results)

    @property
    def watchdog(self) -> int:
        """Cycles after which a run hangs for certain: what drivers write to WATCHDOG."""
        return min(WATCHDOG_TIMES * self.cycles + WATCHDOG_MORE, 0xFFFF_FFFF)

    @property
    def writable(self) -> Extent:
        """The part of the window that a run may write."""
        first = self.regions[Region.SPILL].offset
        return Extent(offset=first, size=self.window - first)

    @property
    def utilisation(self) -> float:
        """Predicted useful array MACs over peak MACs, 0..1."""
        return self.macs / (self.peak_macs * self.cycles)

    def check(self, digest: int) -> None:
        """Raise ``PotvitError`` unless ``digest`` is that of the configuration compiled for."""
        if digest != self.digest:
            raise PotvitError(
                f"the program was compiled for configuration {self.config!r} "
                f"({self.digest:#010x}), the accelerator's is another ({digest:#010x}): "
                f"compile it for that one"
            )

    def instructions(self) -> list[Instr]:
        """The program, decoded from the image."""
        at = range(self.entry, self.entry + self.count * INSTR_BYTES, INSTR_BYTES)
        return [Instr.unpack(self.image[i : i + INSTR_BYTES]) for i in at]

    def check_picture(self, picture: Array) -> None:
        """Raise ``PotvitError`` unless ``picture`` is uint8 of the network's shape.

        A program for several pictures wants them as one array [pictures, ...].
        """
        shape = self.input_shape if self.pictures == 1 else (self.pictures, *self.input_shape)
        if picture.shape != shape or picture.dtype != np.uint8:
            raise PotvitError(
                f"the program wants a uint8 picture {shape}, got {picture.dtype} {picture.shape}"
            )

    def dram(self, picture: Array, fill: int = 0xAA) -> Array:
        """A DRAM window ready to run: image, pictures, the rest filled with ``fill``."""
        picture = np.asarray(picture)
        self.check_picture(picture)
        dram = np.full(self.window, fill, np.uint8)
        dram[: len(self.image)] = np.frombuffer(self.image, np.uint8)
        for number, pixels in enumerate(picture.reshape(self.pictures, -1)):
            at = self.input_offset + number * self.input_pitch
            dram[at : at + self.input_bytes] = pixels
        return dram

    def unpack(self, name: str, dram: bytes | Array) -> Array:
        """Tensor ``name`` in DRAM: int8, uint8 or int32 in the graph's shape."""
        if name == self.output:
            return self.logits.unpack(dram)
        for checkpoint in self.checkpoints:
            if checkpoint.name == name:
                return checkpoint.layout.unpack(dram)
        raise PotvitError(f"the program stores no tensor {name!r}: compile it with checkpoints")

    def description(self) -> dict[str, Any]:
        """Everything but the image and the accesses, as JSON has it."""
        plain = {k: v for k, v in self.__dict__.items() if k not in ("image", "accesses")}
        plain |= {"logits": asdict(self.logits), "layers": [asdict(x) for x in self.layers]}
        plain["more"] = [asdict(result) for result in self.more]
        plain["checkpoints"] = [asdict(c) for c in self.checkpoints]
        plain["regions"] = {name: asdict(extent) for name, extent in self.regions.items()}
        return plain
