"""The pass that lets parts of a model stand still: the same values at every clock."""

import re
import subprocess

import pytest

from sim.simulator import standing

HEADER = """
struct Vtop___024root {
    struct {
        CData/*7:0*/ go;
        CData/*7:0*/ seed;
        CData/*7:0*/ a0;
        CData/*7:0*/ a1;
        SData/*15:0*/ b0;
        IData/*31:0*/ total;
        IData/*31:0*/ other;
        IData/*31:0*/ count;
        IData/*31:0*/ seen;
        QData/*63:0*/ square;
        VL_IN8(enable,7,0);
        VL_OUT8(derived,7,0);
        CData/*0:0*/ __VicoFirstIteration;
        VlWide<3>/*95:0*/ wide;
    };
    VlUnpacked<IData/*31:0*/, 4> mem;
};
"""

#: What Verilator's C++ looks like: registers with and without an enable, a counter, a memory, a
#: local that another block reads, one that is set in a branch only, and a call that is not pure.
SOURCE = """#include "model.h"

void Vtop___024root___nba_sequent__TOP__0(Vtop___024root* vlSelf) {
    auto& vlSelfRef = std::ref(*vlSelf).get();
    // Locals
    IData/*31:0*/ step;
    step = 0;
    IData/*31:0*/ branch;
    branch = 0;
    VlWide<3>/*95:0*/ __Vtemp_1;
    // Body
    step = (vlSelfRef.go ? (IData)(vlSelfRef.a0) : 0U);
    vlSelfRef.total = (vlSelfRef.total + step);
    if (vlSelfRef.go) {
        vlSelfRef.a0 = vlSelfRef.seed;
        vlSelfRef.a1 = (0xffU & ((IData)(vlSelfRef.a0) + (IData)(vlSelfRef.a1)));
    } else if ((3U == vlSelfRef.seed)) {
        vlSelfRef.b0 = (0xffffU & ((IData)(vlSelfRef.b0) + 1U));
    }
    VL_EXTEND_W(__Vtemp_1, vlSelfRef.total);
    vlSelfRef.wide[0U] = __Vtemp_1[0U];
    vlSelfRef.wide[2U] = (__Vtemp_1[0U] ^ vlSelfRef.b0);
    vlSelfRef.mem[(3U & vlSelfRef.seed)] = vlSelfRef.total;
    vlSelfRef.other = (vlSelfRef.other ^ (step + vlSelfRef.mem[1U]));
    if (vlSelfRef.go) {
        branch = vlSelfRef.seed;
    }
    vlSelfRef.seen = ((vlSelfRef.seen << 1U) + branch);
    vlSelfRef.square = ((QData)((IData)(vlSelfRef.total)) * (QData)((IData)(vlSelfRef.a1)));
    vlSelfRef.count = (vlSelfRef.count + touch(vlSelfRef.mem[2U]));
}

void Vtop___024root___nba_sequent__TOP__1(Vtop___024root* vlSelf) {
    auto& vlSelfRef = std::ref(*vlSelf).get();
    // Body
    vlSelfRef.wide[1U] = (vlSelfRef.wide[0U] + vlSelfRef.wide[2U]);
    vlSelfRef.b0 = (0xffffU & (vlSelfRef.b0 ^ (vlSelfRef.wide[1U] >> 3U)));
}

void Vtop___024root___eval(Vtop___024root* vlSelf) {
    auto& vlSelfRef = std::ref(*vlSelf).get();
    // Body
    vlSelfRef.__VicoFirstIteration = 1U;
    if (vlSelfRef.__VicoFirstIteration) {
        std::fputs("i", stderr);
        vlSelfRef.derived = (vlSelfRef.enable ^ 5U);
    }
    Vtop___024root___nba_sequent__TOP__0(vlSelf);
    Vtop___024root___nba_sequent__TOP__1(vlSelf);
}
"""

MODEL = """#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
typedef uint8_t CData; typedef uint16_t SData; typedef uint32_t IData; typedef uint64_t QData;
template <int N> struct VlWide { IData at[N]; IData& operator[](int i) { return at[i]; } };
template <typename T, int N> struct VlUnpacked { T at[N]; T& operator[](int i) { return at[i]; } };
#define VL_LIKELY(x) (x)
#define VL_IN8(name, high, low) CData name
#define VL_OUT8(name, high, low) CData name
#define VL_EXTEND_W(to, from) ((to)[0] = (from), (to)[1] = 0, (to)[2] = 0)
#include "Vtop___024root.h"
static IData calls = 0;
inline IData touch(IData x) { return ++calls ^ x; }
"""

#: The host sets ``go`` and ``seed`` as it likes and stays quiet for long in between; now and then
#: something else writes a register. Every variable is printed after every clock.
MAIN = """#include "Vtop___024root__0.cpp"
int main() {
    static Vtop___024root top;
    uint32_t noise = 1;
    for (int cycle = 0; cycle < 20000; ++cycle) {
        noise = noise * 1664525u + 1013904223u;
        if (noise >> 26 == 0) top.go = (noise >> 8) & 1;
        if (noise >> 27 == 1) top.seed = noise >> 12;
        if (noise >> 23 == 5) top.a1 ^= 1;
        if (noise >> 23 == 6) top.wide[1] ^= 4;
        if (noise >> 23 == 7) top.enable = noise >> 9;
        Vtop___024root___eval(&top);
        printf("%d %d %d %d %d %u %u %u %u %llu %u %u %u %u\\n",
               top.derived, top.go, top.a0, top.a1, top.b0, top.total, top.other, top.count,
               top.seen, (unsigned long long)top.square,
               top.wide[0], top.wide[1], top.wide[2], top.mem[3]);
    }
}
"""


def outputs(folder, *, skip):
    """What the model prints, how many blocks may stand still, how often inputs were looked at."""
    folder.mkdir()
    for name, text in (("Vtop___024root.h", HEADER), ("Vtop___024root__0.cpp", SOURCE),
                       ("model.h", MODEL), ("main.cpp", MAIN)):  # fmt: skip
        (folder / name).write_text(text)
    blocks = standing.let_stand(folder) if skip else 0
    subprocess.run(["g++", "-O1", "-o", "model", "main.cpp"], cwd=folder, check=True)
    done = subprocess.run([folder / "model"], capture_output=True, check=True)
    return done.stdout, blocks, len(done.stderr)


@pytest.fixture
def plain(tmp_path):
    return outputs(tmp_path / "plain", skip=False)[0]


@pytest.mark.parametrize(("least", "most"), [(1, 1), (1, 400), (1, 10_000), (300, 500)])
def test_every_variable_is_the_same_after_every_clock(plain, tmp_path, monkeypatch, least, most):
    monkeypatch.setattr(standing, "LEAST", least)
    monkeypatch.setattr(standing, "MOST", most)
    monkeypatch.setattr(standing, "_unit", lambda statement: "the same")
    got, blocks, looked = outputs(tmp_path / "skipping", skip=True)
    assert 1 < looked < 200
    assert blocks >= 1
    assert len(plain.splitlines()) == 20_000
    assert got == plain
    text = (tmp_path / "skipping" / "Vtop___024root__0.cpp").read_text()
    guarded = re.findall(r"\.fixed\)\)\) \{\n(.*?)        if \(standing\d+\.kept\)", text, re.S)
    assert len(guarded) == blocks
    assert not any("touch(" in block or "vlSelfRef.mem[" in block for block in guarded)


def test_blocks_are_really_left_out(tmp_path, monkeypatch):
    """A block that says so each time it runs is silent while nothing moves."""
    monkeypatch.setattr(standing, "LEAST", 1)
    rewritten, opening = standing._Function.rewritten, ".fixed))) {\n"
    said = f'{opening}    std::puts("ran");\n'
    monkeypatch.setattr(
        standing._Function, "rewritten", lambda self: rewritten(self).replace(opening, said)
    )
    got, blocks, _ = outputs(tmp_path / "counting", skip=True)
    ran = got.splitlines().count(b"ran")
    assert 0 < ran < 0.8 * 20_000 * blocks


@pytest.mark.parametrize("fault", ["first", "written"])
def test_a_variable_that_is_not_compared_is_found(plain, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(standing, "LEAST", 1)
    runs = standing._runs
    if fault == "first":
        monkeypatch.setattr(standing, "_runs", lambda vs: list(runs(vs))[1:] or runs(vs))
    else:
        monkeypatch.setattr(standing, "_runs", lambda variables: [
            run for run in runs(variables) if "a1" not in run[0].text and "seed" not in run[0].text
        ])  # fmt: skip
    assert outputs(tmp_path / "faulty", skip=True)[0] != plain


def test_c_plus_plus_of_another_kind_is_left_as_it_is(tmp_path):
    text = "void Vtop___024root___nba_sequent__TOP__0(Vtop* self) {\n    self->a = 1;\n}\n"
    (tmp_path / "Vtop___024root__0.cpp").write_text(text)
    assert standing.let_stand(tmp_path) == 0
    assert (tmp_path / "Vtop___024root__0.cpp").read_text() == text


def test_statements_are_the_body():
    body = SOURCE.split("    // Body\n")[1].split("\n}\n")[0]
    found = list(standing._statements(body))
    assert "".join(found) == body
    assert len([text for text in found if text.strip()]) == 12
