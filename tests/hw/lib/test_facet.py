"""Facets: the ports of one interface among those of a component."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature, connect, flipped

from hw.lib.facet import Facet
from hw.lib.ports import ReadPort

LINK = Signature({"ask": Out(4), "answer": In(4)})


class Asker(wiring.Component):
    """Asks what it is asked."""

    def __init__(self):
        super().__init__({**LINK.members, "question": In(4), "heard": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.ask.eq(self.question)
        m.d.sync += self.heard.eq(self.answer)
        return m


class Answerer(wiring.Component):
    """Answers one more than it is asked; ``inner`` does the work, behind a facet of its own."""

    def __init__(self, depth=1):
        self.depth = depth
        super().__init__({"other": In(1), **LINK.flip().members})

    def elaborate(self, platform):
        m = Module()
        if self.depth:
            m.submodules.inner = inner = Answerer(self.depth - 1)
            connect(m, flipped(Facet(self, LINK.flip())), Facet(inner, LINK.flip()))
        else:
            m.d.comb += self.answer.eq(self.ask + 1)
        return m


class Pair(wiring.Component):
    """Both, connected by what they share."""

    def __init__(self):
        super().__init__({"question": In(4), "heard": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.asker = asker = Asker()
        m.submodules.answerer = answerer = Answerer()
        connect(m, Facet(asker, LINK), Facet(answerer, LINK.flip()))
        m.d.comb += [asker.question.eq(self.question), self.heard.eq(asker.heard)]
        return m


def test_both_directions_are_connected(simulate):
    dut = Pair()

    async def bench(ctx):
        for question in range(15):
            ctx.set(dut.question, question)
            await ctx.tick()
            assert ctx.get(dut.heard) == question + 1

    simulate(dut, bench)


@pytest.mark.parametrize(
    "signature",
    [LINK, Signature({"ask": In(5)}), Signature({"nothing": In(1)})],
    ids=["flow", "width", "absent"],
)
def test_ports_that_are_not_there_are_refused(signature):
    with pytest.raises(TypeError, match="Answerer has no port"):
        Facet(Answerer(), signature)


class Reader(wiring.Component):
    """A nested signature that is a new object each time it is made."""

    def __init__(self):
        super().__init__({"read": Out(ReadPort(4, 8))})

    def elaborate(self, platform):
        return Module()


@pytest.mark.parametrize(("bits", "fits"), [(8, True), (9, False)])
def test_nested_signatures_are_compared_by_their_members(bits, fits):
    signature = Signature({"read": Out(ReadPort(4, bits))})
    if fits:
        reader = Reader()
        assert Facet(reader, signature).read is reader.read
    else:
        with pytest.raises(TypeError, match="Reader has no port read"):
            Facet(Reader(), signature)


def test_other_ports_are_not_in_it():
    facet = Facet(Answerer(), LINK.flip())
    with pytest.raises(AttributeError, match="other"):
        facet.other  # noqa: B018
