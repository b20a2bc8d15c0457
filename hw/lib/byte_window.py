"""Words of any length out of a sequence of beats, wherever in a beat they begin."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class ByteWindow(wiring.Component):
    """Cuts the bytes of successive beats into words of 1 to ``word_bytes`` bytes.

    The beat at hand stands elsewhere (a `Gearbox` holds it); the window keeps the last bytes of the
    one before, once they fill no more than a word. So each word needs at most one new beat, and a
    word leaves every cycle. One rotator of ``word_bytes`` bytes over ``beat_bytes`` positions.
    Sizes are powers of two, ``word_bytes`` at most ``beat_bytes``. A beat may come in parts.

    Members
    -------
    beat : bytes of the beat at hand; ``held`` : parts of it that are there.
    final : no further part comes. Only then does a word begin in a beat that is not whole.
    size : bytes of the word at hand, at least 1.
    valid : the word is there, in ``word``; what is behind ``size`` is undefined.
    step : go on behind it. Then ``freed`` : the beat at hand is used up.
    restart : with ``step``: what is left is of no use, the next word begins with the next beat.
    """

    def __init__(self, beat_bytes: int, word_bytes: int, parts: int = 1) -> None:
        for size in (beat_bytes, word_bytes, parts):
            if size < 1 or size & (size - 1):
                raise ValueError(f"sizes must be powers of two, got {size}")
        if max(word_bytes, parts) > beat_bytes:
            raise ValueError(f"words of {word_bytes} bytes in beats of {beat_bytes}")
        self.beat_bytes = beat_bytes
        self.word_bytes = word_bytes
        self.parts = parts
        super().__init__(
            {
                "beat": In(8 * beat_bytes),
                "held": In(range(parts + 1)),
                "final": In(1),
                "size": In(range(word_bytes + 1)),
                "valid": Out(1),
                "word": Out(8 * word_bytes),
                "step": In(1),
                "freed": Out(1),
                "restart": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        beat, word, part = self.beat_bytes, self.word_bytes, self.beat_bytes // self.parts
        # Position of the next byte in its beat; it is in the beat before if parts of that are kept.
        at, kept = Signal(range(beat)), Signal.like(self.held)
        tail = Signal(8 * word, reset_less=True)
        end, rest = Signal(range(beat + word + 1)), Signal(range(beat + 1))
        whole, crosses, in_beat, move = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            end.eq(at + self.size),
            crosses.eq(end > beat),
            whole.eq(self.final | (self.held == self.parts)),
            in_beat.eq((kept == 0) | crosses),
        ]
        with m.If(kept == 0):
            m.d.comb += [rest.eq(end), self.valid.eq(whole & (end <= self.held * part))]
        with m.Elif(crosses):
            m.d.comb += [
                rest.eq(end - beat),
                self.valid.eq(whole & (kept == self.parts) & (rest <= self.held * part)),
            ]
        with m.Else():
            m.d.comb += self.valid.eq(end <= kept * part)
        # What fills no more than another word makes room for the next beat: of one word, all.
        short = rest >= beat - word if beat > word else C(1)
        m.d.comb += [
            move.eq(self.step & in_beat & short),
            self.freed.eq(move | (self.step & self.restart)),
        ]
        with m.If(self.step):
            m.d.sync += at.eq(end)
            with m.If(end >= beat):
                m.d.sync += kept.eq(0)
        with m.If(move):
            m.d.sync += [
                tail.eq(self.beat[8 * (beat - word) :]),
                kept.eq(Mux(rest == beat, 0, self.held)),
            ]
        with m.If(self.step & self.restart):
            m.d.sync += [at.eq(0), kept.eq(0)]
        m.d.comb += self.word.eq(self._rotated(at, kept != 0, tail))
        return m

    def _rotated(self, at: Signal, keeps: Any, tail: Signal) -> Any:
        """Bytes from ``at`` on: of the beat before up to its end, then of the beat at hand."""
        beat, word = self.beat_bytes, self.word_bytes
        lanes = [self.beat.word_select(lane, 8) for lane in range(beat)]
        for n in range(word):
            lane = beat - word + n
            # A word no longer than half a beat never needs these lanes of both beats.
            always = 2 * word <= beat or lane == beat - 1
            old = keeps if always else keeps & (at <= lane)
            lanes[lane] = Mux(old, tail.word_select(n, 8), lanes[lane])
        ring: Any = Cat(lanes)
        for bit in reversed(range(len(at))):
            # Of two words in a beat, the second one has always been kept when its turn comes.
            far = keeps if beat == 2 * word and 8 << bit == 4 * beat else at[bit]
            ring = Mux(far, ring.rotate_right(8 << bit), ring)
        return ring[: 8 * word]
