"""Tables of recorded syntheses: areas, ablations, FPGAs."""

from typing import Any

from tools.records import markdown, recorded


def area() -> str:
    """Recorded areas of the presets in library cells, memories excluded."""
    rows = []
    for name, found in _synthesized("generic"):
        alone = found["eight_bit_only"]
        rows.append(
            [
                f"`{name}`",
                f"{found['macs']:,}",
                f"{found['totals']['area'] / 1000:,.0f}",
                f"{found['kge_per_mac']:.3f}",
                f"{alone['kge_per_mac']:.3f} ({100 * alone['cost']:+.1f} %)",
                f"{100 * found['special_share']:.1f} %",
                f"{found['sram_bits'] / 8192:,.1f}",
            ]
        )
    header = ["configuration", "MACs", "logic kGE", "kGE per MAC",
              "8-bit only (what narrower modes add)",
              "softmax, shifters, LayerNorm, requantization",
              "memory KiB"]  # fmt: skip
    return markdown(header, rows)


def area_parts() -> str:
    """Share of every part of the design in the recorded areas."""
    found = _synthesized("generic")
    names = dict.fromkeys(part["name"] for _, report in found for part in report["parts"])
    rows = []
    for name in names:
        cells = []
        for _, report in found:
            part = next((p for p in report["parts"] if p["name"] == name), None)
            cells.append(f"{part['area'] / 1000:,.1f} ({100 * part['share']:.1f} %)" if part
                         else "-")  # fmt: skip
        rows.append([name, *cells])
    return markdown(["kGE", *(f"`{name}`" for name, _ in found)], rows)


def ablations() -> str:
    """Recorded comparisons of units with ordinary ones."""
    rows = [
        [f"`{name}`", row["what"], f"{row['ours']:,.0f} ({row['ours_is']})",
         f"{row['ordinary']:,.0f} ({row['ordinary_is']})", f"{row['ratio']:.2f}"]
        for name, found in _synthesized("generic")
        for row in found["ablations"]
        if name == "base"
    ]  # fmt: skip
    return markdown(["configuration", "unit", "GE", "ordinary, GE", "ordinary / this"], rows)


def fpga() -> str:
    """Recorded resources of FPGAs."""
    kinds = ("LUT", "LUTRAM", "FF", "DSP", "BRAM36", "URAM")
    rows = [
        [f"`{name}`", "UltraScale+ (not placed)",
         *(f"{found['totals'][kind]:,g}" for kind in kinds), "-"]
        for name, found in _synthesized("xcup")
    ]  # fmt: skip
    for name, found in _synthesized("ecp5"):
        used = {kind: f"{row['used']:,}" for kind, row in found["totals"].items()}
        used["BRAM36"] = f"{used.pop('BRAM')} of 18 kbit"
        rows.append(
            [f"`{name}`", f"{found['part']}, placed and routed",
             *(used.get(kind, "-") for kind in kinds), f"{found['fmax_mhz']:.1f}"]
        )  # fmt: skip
    return markdown(["configuration", "part", *kinds, "MHz"], rows)


def _synthesized(target: str) -> list[tuple[str, dict[str, Any]]]:
    """Recorded reports of ``target``, smallest configuration first."""
    found = recorded("synthesis").get(target, {})
    return sorted(found.items(), key=lambda item: item[1]["macs"])
