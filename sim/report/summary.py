"""The first and the last words of a report: what the run showed, and how fast that would be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.report.document import Section, Table, percent
from sim.report.inputs import Inputs

#: Clock that speeds are given at beside those that were reached.
GIVEN_MHZ = 300.0


def summary(inputs: Inputs) -> Section:
    """What the run showed; nothing here assumes a clock."""
    rows: list[Sequence[str]] = []
    sim = inputs.sim
    if sim is not None:
        peak = sim["peak_macs_per_cycle"]
        rows += [
            ("bit-exact in RTL", "yes" if sim["bit_exact"] else f"NO: {sim['failure']}"),
            ("tensors compared", f"{sim['tensors_checked']} of {sim['tensors_expected']} "
                                 f"({sim['elements_checked']:,} elements)"),
            ("cycles per picture", f"{sim['cycles']:,} (cycle model {sim['predicted_cycles']:,}, "
                                   f"{off(sim['predicted_cycles'], sim['cycles'])})"),
            ("useful MACs", f"{sim['macs']:,}"),
            (f"array utilisation, of {peak} MACs per cycle", percent(sim["array_utilisation"])),
            ("precision-weighted utilisation", percent(sim["precision_weighted_utilisation"])),
            ("cycle model, largest error of a layer", _worst(sim)),
            ("weights", str(sim["weights"])),
            ("AXI stalls", str(sim["stall_mode"])),
        ]  # fmt: skip
    if inputs.other and inputs.other.get("peak_macs_per_cycle"):
        other = inputs.other
        rows.append((f"the same with {other['bits']}", f"{other['cycles']:,} cycles, "
                     f"{percent(other['array_utilisation'])} of {other['peak_macs_per_cycle']}, "
                     f"weighted {percent(other['precision_weighted_utilisation'])}"))  # fmt: skip
    if inputs.area is not None:
        rows.append(("kGE per 8x8 MAC, memories excluded", f"{inputs.area['kge_per_mac']}"))
        rows.append(("on-chip memory", f"{inputs.area['sram_bits'] / 8192:,.0f} KiB"))
    if inputs.accuracy is not None:
        a = inputs.accuracy
        rows.append(("top-1, float", f"{a['fp_top1']:.2f} % of {a['images']} pictures"))
        if a.get("int_top1") is not None:
            rows.append(("top-1, integer", f"{a['int_top1']:.2f} %, agrees with float on "
                                           f"{a['agreement']:.2f} %"))  # fmt: skip
    tables = [Table(header=("figure", "value"), rows=rows)] if rows else []
    return Section(
        title="Summary", headline=headline(inputs), tables=tables,
        notes=tuple(inputs.missing.values()),
    )  # fmt: skip


def headline(inputs: Inputs) -> list[tuple[str, str]]:
    """The measured figures to see first."""
    found = []
    if (sim := inputs.sim) is not None:
        equal = f"{sim['tensors_checked']} of {sim['tensors_expected']} tensors"
        found = [
            ("equal in RTL, bit for bit", equal if sim["bit_exact"] else f"NO, only {equal}"),
            ("cycles per picture", f"{sim['cycles']:,}"),
            ("array in use", percent(sim["array_utilisation"])),
        ]
    accuracy = inputs.accuracy
    if accuracy is not None and accuracy.get("int_top1") is not None:
        both = f"{accuracy['int_top1']:.2f} % / {accuracy['fp_top1']:.2f} %"
        found.append((f"top-1, integer / float, {accuracy['images']} pictures", both))
    if inputs.area is not None:
        found.append(("kGE per 8x8 MAC", f"{inputs.area['kge_per_mac']}"))
    return found


def speed(inputs: Inputs, mhz: float) -> list[Section]:
    """Pictures per second, with the origin of every clock."""
    if inputs.sim is None:
        return []
    text = "The cycles are counted in RTL; how long one lasts depends on the technology. A clock "
    text += "that was placed and routed is real for its part, one that is given is an assumption."
    return [Section(title="Speed", text=[text], tables=[frame_rates(inputs, inputs.sim, mhz)])]


def frame_rates(inputs: Inputs, sim: dict[str, Any], mhz: float) -> Table:
    """Pictures per second at the clock that was reached and at the one that was given."""
    clocks = [(f"assumed: --mhz {mhz:g}", mhz)]
    for report, what in ((inputs.placed, "placed and routed"), (inputs.fpga, "estimated")):
        if report and report.get("fmax_mhz"):
            reached = float(report["fmax_mhz"])
            place = report.get("part") or report["target"]
            clocks.insert(0, (f"{what}, {report['config']} on {place}", reached))
    rows = [
        (what, f"{f:.1f}", f"{1e6 * f / sim['cycles']:.1f}", f"{1e-3 * sim['cycles'] / f:.3f}",
         f"{2e-3 * sim['macs'] * f / sim['cycles']:.1f}")
        for what, f in clocks
    ]  # fmt: skip
    return Table(
        header=("clock", "MHz", "pictures/s", "ms per picture", "GOPS"), rows=rows,
        caption="Speed of one instance (a MAC is two operations)",
    )  # fmt: skip


def off(predicted: float, found: float) -> str:
    """How far a prediction is off, signed, in percent."""
    return f"{100 * (predicted - found) / found:+.2f} %"


def _worst(sim: dict[str, Any]) -> str:
    worst = max(sim["layers"], key=lambda x: abs(x["predicted"] - x["cycles"]) / x["cycles"])
    return f"{off(worst['predicted'], worst['cycles'])} ({worst['name']})"
