"""Generation parameters of the accelerator, with named presets; every derived width lives here."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property

from golden.ops.psmac import MacMode
from golden.ops.softmax import ExpForm
from golden.support.errors import PotvitError
from hw.isa.instruction import HEADER, PAYLOAD
from hw.isa.payload import Attend, Matmul, Norm
from hw.precision import Precision

CODE_BITS = 5

#: Parameters that only say how the accelerator appears on its bus: programs do not depend on them.
BUS_ONLY = ("axi_prot", "axi_cache", "axi_id_bits", "axi_addr_bits")

#: Parameters of how a function is built: neither programs nor hosts can tell.
BUILD_ONLY = ("multiplier",)

#: Bytes of an output channel's parameters, and of a LayerNorm channel's; `hw.formats` fills them.
CHANNEL_BYTES = NORM_CHANNEL_BYTES = 8

#: What an instruction's field can count, by the parameter that it limits.
FIELD_BITS = {
    "act_words": Matmul.width("a_addr"),
    "stream_words": Matmul.width("w_addr"),
    "residual_words": Norm.width("r_addr"),
    "value_words": Attend.width("v_addr"),
    "logit_words": Attend.width("l_addr"),
    "out_words": Matmul.width("d_addr"),
    "norm_words": Norm.width("p_addr"),
    "max_tokens": Norm.width("token"),
    "slots": Attend.width("slot"),
}


#: The parameter that said whether there is an 8x4 mode.
OLD_PRECISION = "four_bit"


class Multiplier(StrEnum):
    """Whose multipliers the array's processing elements are written for.

    ``plain``: gates, or whatever synthesis makes of 8x4 and 8x8 products. ``dsp27x18``: FPGAs'
    multipliers of 27x18 bits, each for two output channels (hw/array/mac/packed_pe.py).
    """

    PLAIN = "plain"
    DSP27X18 = "dsp27x18"

    def __repr__(self) -> str:
        """The value, which stands for the member wherever a parameter is written."""
        return repr(self.value)


def present_names(changes: Mapping[str, object]) -> dict[str, object]:
    """``changes`` with the names that parameters have now.

    ``four_bit``, which `Precision` has replaced, is taken as ``w4a8`` (on) or ``w8a8`` (off).

    Raises:
        PotvitError: it is neither on nor off, or the precision is there as well.
    """
    found = dict(changes)
    if OLD_PRECISION in found:
        on = found.pop(OLD_PRECISION)
        if not isinstance(on, bool) or "precision" in found:
            raise PotvitError(
                f"{OLD_PRECISION} has become precision: w8a8 for off (false), w4a8 for on (true)"
            )
        found["precision"] = Precision.W4A8 if on else Precision.W8A8
    return found


def _bits(count: int) -> int:
    """Number of address bits for ``count`` words (at least one)."""
    return max(1, (count - 1).bit_length())


@dataclass(frozen=True, kw_only=True)
class Config:
    """One accelerator. Sizes are words of the memory named; see docs/architecture.md.

    Array: ``rows`` (R) tokens in a row group; ``cols`` (Cn) output channels of a tile; ``lanes``
    (K) 8x8 products per PE and cycle; ``precision`` the modes of its multipliers; ``multiplier``
    what the products are built of.

    Attention: ``head_lanes`` (D) shifters per row, a wider head takes several passes; ``max_keys``
    the longest attention row; ``slots`` row groups whose maxima are kept at a time; ``exp_form``
    how the exponential is evaluated.

    Residual stream: ``max_tokens`` tokens whose statistics are kept; ``max_channels`` the widest
    LayerNorm; ``const_rows`` position constants (rows of Cn) that wait for the drain.

    Control and bus: ``queue_depth`` instructions a unit's queue holds; ``fetch_depth``
    instructions fetched ahead; ``axi_bytes`` data bus width; ``burst_beats`` beats of the longest
    burst; ``outstanding`` read bursts asked for and not yet answered; ``axi_prot`` and
    ``axi_cache`` are what AxPROT and AxCACHE say; ``axi_id_bits`` and ``axi_addr_bits`` are the
    widths of IDs and addresses on the bus: IDs are 0, and no byte beyond the narrower of the bus's
    and the accelerator's own 40 bits is touched.

    Raises ``PotvitError`` for an illegal combination, with the rule it breaks.
    """

    name: str
    rows: int
    cols: int
    lanes: int
    axi_bytes: int
    head_lanes: int
    act_words: int
    stream_words: int
    residual_words: int
    value_words: int
    logit_words: int
    slots: int
    out_words: int
    norm_words: int
    max_tokens: int = 256
    max_keys: int = 256
    max_channels: int = 1024
    const_rows: int = 64
    queue_depth: int = 8
    fetch_depth: int = 16
    burst_beats: int = 16
    outstanding: int = 8
    precision: Precision = Precision.W4A8
    exp_form: ExpForm = ExpForm.BASE2
    axi_prot: int = 0b000
    axi_cache: int = 0b0010
    axi_id_bits: int = 1
    axi_addr_bits: int = 40
    multiplier: Multiplier = Multiplier.PLAIN

    def __post_init__(self) -> None:
        def require(ok: bool, rule: str) -> None:
            if not ok:
                raise PotvitError(f"configuration {self.name!r}: {rule}")

        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in BUS_ONLY:
                continue
            if isinstance(value, int) and value < 1:
                require(False, f"{f.name} must be at least 1, got {value}")
        require(
            self.multiplier in tuple(Multiplier),
            f"multiplier must be {' or '.join(Multiplier)}, got {self.multiplier!r}",
        )
        require(
            self.precision in tuple(Precision),
            f"precision must be {' or '.join(Precision)}, got {self.precision!r}",
        )
        object.__setattr__(self, "precision", Precision(self.precision))
        require(
            self.multiplier == Multiplier.PLAIN or not self.precision.has(MacMode.W4A4),
            f"multiplier {self.multiplier} has no 4x4 mode: take precision w4a8",
        )
        require(self.lanes in (2, 4, 8, 16), f"lanes must be 2, 4, 8 or 16, got {self.lanes}")
        require(self.cols in (self.lanes, 2 * self.lanes), "cols must be lanes or 2*lanes")
        require(2 <= self.rows <= 32, f"rows must be 2..32, got {self.rows}")
        require(self.axi_bytes in (4, 8, 16, 32, 64), "axi_bytes must be 4, 8, 16, 32 or 64")
        require(
            self.head_lanes % self.act_bytes == 0 and self.head_lanes % self.cols == 0,
            f"head_lanes must be a multiple of 2*lanes = {self.act_bytes}",
        )
        keys = self.keys_per_cycle
        require(
            keys & (keys - 1) == 0,
            f"head_lanes must be a power of two times 2*lanes = {self.act_bytes}",
        )
        require(
            self.value_words % keys == 0,
            f"value_words must be a multiple of head_lanes/(2*lanes) = {keys}",
        )
        require(self.max_keys <= 1024, "max_keys above 1024 would overflow 26-bit row sums")
        require(self.max_channels <= 2048, "max_channels above 2048 would overflow LayerNorm sums")
        require(self.const_rows >= 2 * self.rows, "const_rows must hold two row groups")
        require(0 <= self.axi_prot < 8, f"axi_prot must be 0..7, got {self.axi_prot}")
        require(0 <= self.axi_cache < 16, f"axi_cache must be 0..15, got {self.axi_cache}")
        require(1 <= self.axi_id_bits <= 32, f"axi_id_bits must be 1..32, got {self.axi_id_bits}")
        require(
            32 <= self.axi_addr_bits <= 64,
            f"axi_addr_bits must be 32..64, got {self.axi_addr_bits}",
        )
        require(self.burst_beats * self.axi_bytes <= 4096, "a burst must stay within 4 KB")
        require(self.burst_beats <= 256, "burst_beats must be at most 256")
        require(
            self.const_rows * self.const_bytes >= 2 * self.burst_beats * self.axi_bytes,
            "const_rows must hold two bursts",
        )
        for name, bits in FIELD_BITS.items():
            require(getattr(self, name) <= 1 << bits, f"{name} must be at most {1 << bits}")

    @cached_property
    def act_bytes(self) -> int:
        """Bytes of one activation word of one bank: two chunks, ``2K``."""
        return 2 * self.lanes

    @cached_property
    def keys_per_cycle(self) -> int:
        """Keys that attention x V takes at a time, ``D/2K`` (P): each for ``2K`` channels."""
        return self.head_lanes // self.act_bytes

    @cached_property
    def distance_words(self) -> int:
        """Words of the store of distances: the keys of two row groups, each a power of two."""
        return 2 << _bits(self.max_keys)

    @cached_property
    def code_words(self) -> int:
        """Words of a bank of the code store: every P-th key of two row groups."""
        return 2 << _bits(-(-self.max_keys // self.keys_per_cycle))

    @cached_property
    def stream_bytes(self) -> int:
        """Bytes of one stream word (weights or keys of one chunk): ``Cn*K``."""
        return self.cols * self.lanes

    @cached_property
    def const_bytes(self) -> int:
        """Bytes of one row of position constants: ``Cn`` int16."""
        return 2 * self.cols

    @cached_property
    def norm_bytes(self) -> int:
        """Bytes of one LayerNorm parameter word: ``K`` channels."""
        return NORM_CHANNEL_BYTES * self.lanes

    @cached_property
    def param_words(self) -> int:
        """Stream words in front of a weight tile: ``Cn`` channels."""
        return -(-CHANNEL_BYTES // self.lanes)

    @cached_property
    def tile_act_granules(self) -> int:
        """Tile outputs per activation word: ``2K/Cn`` (1 or 2)."""
        return self.act_bytes // self.cols

    @cached_property
    def macs(self) -> int:
        """8x8 products per cycle."""
        return self.rows * self.cols * self.lanes

    @cached_property
    def most_macs(self) -> int:
        """Products per cycle that are counted at most, whatever the mode."""
        return self.macs * max(MacMode.W4.products, self.precision.modes[-1].products)

    @cached_property
    def addr_bits(self) -> dict[str, int]:
        """Address width of each memory by name."""
        names = ("act", "stream", "residual", "value", "logit", "out", "norm")
        widths = {n: _bits(getattr(self, f"{n}_words")) for n in names}
        return widths | {
            "token": _bits(self.max_tokens),
            "slot": _bits(self.slots),
            "code": _bits(self.code_words // 2),
        }

    @cached_property
    def digest(self) -> int:
        """32 bits that tell this accelerator from others: its parameters and its instruction set.

        Its name, what it tells the bus about itself and what it is built of are not part of it. A
        program runs only where the digest is that of the configuration it was compiled for.
        """
        names = [f.name for f in fields(self) if f.name not in ("name", *BUS_ONLY, *BUILD_ONLY)]
        parameters = [(name, str(getattr(self, name))) for name in names]
        return zlib.crc32(repr((parameters, HEADER, PAYLOAD)).encode())

    def change(self, **changes: object) -> Config:
        """A copy with some parameters changed (and checked again).

        A ``multiplier`` without 4x4 products leaves that mode out unless ``precision`` is given.
        """
        changes = present_names(changes)
        known = {f.name for f in fields(self)}
        for key in changes:
            if key not in known:
                raise PotvitError(f"unknown parameter {key!r}; one of {', '.join(sorted(known))}")
        if changes.get("multiplier") == Multiplier.DSP27X18 and self.precision is Precision.W4A4:
            changes.setdefault("precision", Precision.W4A8)
        return replace(self, **changes)  # type: ignore[arg-type]


PRESETS = {
    c.name: c
    for c in (
        Config(
            name="tiny",
            precision=Precision.W4A4,
            rows=2,
            cols=4,
            lanes=4,
            axi_bytes=8,
            head_lanes=16,
            act_words=1024,
            stream_words=1024,
            residual_words=1024,
            value_words=256,
            logit_words=256,
            slots=32,
            out_words=16,
            norm_words=64,
            max_channels=256,
        ),
        Config(
            name="edge",
            precision=Precision.W4A4,
            rows=4,
            cols=8,
            lanes=8,
            axi_bytes=16,
            head_lanes=64,
            act_words=6144,
            stream_words=2048,
            residual_words=8192,
            value_words=512,
            logit_words=2048,
            slots=64,
            out_words=256,
            norm_words=256,
        ),
        Config(
            name="base",
            precision=Precision.W4A4,
            rows=8,
            cols=16,
            lanes=8,
            axi_bytes=32,
            head_lanes=64,
            act_words=3072,
            stream_words=2048,
            residual_words=4864,
            value_words=512,
            logit_words=512,
            slots=32,
            out_words=64,
            norm_words=256,
            max_channels=2048,
            const_rows=64,
        ),
    )
}


def preset(name: str) -> Config:
    """The named preset; ``PotvitError`` lists the names otherwise."""
    if name not in PRESETS:
        raise PotvitError(f"unknown configuration {name!r}; one of {', '.join(PRESETS)}")
    return PRESETS[name]
