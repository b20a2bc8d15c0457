"""``component.xml``: the package in IP-XACT (IEEE 1685-2009), for vendors' tools and others.

The memory map is what `peakrdl` makes of the SystemRDL; this module puts buses, ports and files
around it. The order of elements is the schema's.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from hw.package.bus_pins import CLOCK, INTERRUPT, RESET, Interface, Pin, interfaces

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
VENDOR, LIBRARY = "potvit", "accelerator"
#: Kinds of files by their suffix.
_FILE_TYPES = {".v": "verilogSource", ".h": "cSource", ".c": "cSource"}
#: Library, name and version of bus and abstraction, by kind of signal.
_SIGNALS = {
    CLOCK: ("clock", "CLK", "slave"),
    RESET: ("reset", "RST", "slave"),
    INTERRUPT: ("interrupt", "INTERRUPT", "master"),
}


def component_xml(
    *,
    name: str,
    version: str,
    title: str,
    pins: tuple[Pin, ...],
    registers: str,
    files: Sequence[str],
    addr_bits: int,
) -> str:
    """The text of ``component.xml`` for module ``name``.

    ``registers`` is the IP-XACT that `peakrdl` made, ``files`` the sources (paths from the package)
    and ``addr_bits`` the width of the master's addresses.
    """
    ET.register_namespace("spirit", SPIRIT)
    ET.register_namespace("xsi", _INSTANCE)
    root = ET.Element(_tag("component"))
    root.set(f"{{{_INSTANCE}}}schemaLocation", f"{SPIRIT} {SPIRIT}/index.xsd")
    for key, text in (("vendor", VENDOR), ("library", LIBRARY), ("name", name)):
        _add(root, key, text)
    _add(root, "version", version)
    maps = ET.fromstring(registers).find(_tag("memoryMaps"))
    assert maps is not None, "peakrdl made no memory map"
    map_name = maps.findtext(f"{_tag('memoryMap')}/{_tag('name')}")
    assert map_name is not None, "the memory map has no name"
    space = "m_axi_space"
    buses = _add(root, "busInterfaces")
    for bus in interfaces(pins):
        _axi(buses, bus, map_name if bus.role == "slave" else space)
    for pin, (kind, logical, role) in _SIGNALS.items():
        _signal(buses, pin, kind, logical, role)
    spaces = _add(_add(root, "addressSpaces"), "addressSpace")
    _add(spaces, "name", space)
    _add(spaces, "range", str(1 << addr_bits), format="long")
    _add(spaces, "width", "8", format="long")
    root.append(maps)
    _model(root, name, pins)
    _files(root, files)
    _add(root, "description", title)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _tag(name: str) -> str:
    return f"{{{SPIRIT}}}{name}"


def _add(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    made = ET.SubElement(parent, _tag(tag), {_tag(k): v for k, v in attributes.items()})
    made.text = text
    return made


def _kind(parent: ET.Element, vendor: str, library: str, name: str, version: str) -> None:
    """Type of a bus and of its abstraction, whose name is the bus's with ``_rtl``."""
    for element, of in (("busType", name), ("abstractionType", f"{name}_rtl")):
        _add(parent, element, vendor=vendor, library=library, name=of, version=version)


def _axi(parent: ET.Element, bus: Interface, reference: str) -> None:
    """An AXI interface and its pins."""
    made = _add(parent, "busInterface")
    _add(made, "name", bus.name)
    _kind(made, "xilinx.com", "interface", "aximm", "1.0")
    role = _add(made, bus.role)
    if bus.role == "slave":
        _add(role, "memoryMapRef", memoryMapRef=reference)
    else:
        _add(role, "addressSpaceRef", addressSpaceRef=reference)
    _maps(made, [(bus.logical(pin), pin.name) for pin in bus.pins])
    protocol = "AXI4LITE" if bus.role == "slave" else "AXI4"
    _parameters(made, {"PROTOCOL": protocol})


def _signal(parent: ET.Element, pin: str, kind: str, logical: str, role: str) -> None:
    """Clock, reset or interrupt: an interface of one pin."""
    made = _add(parent, "busInterface")
    _add(made, "name", pin)
    _kind(made, "xilinx.com", "signal", kind, "1.0")
    _add(made, role)
    _maps(made, [(logical, pin)])
    if pin == CLOCK:
        _parameters(made, {"ASSOCIATED_BUSIF": "s_axil:m_axi", "ASSOCIATED_RESET": RESET})
    elif pin == RESET:
        _parameters(made, {"POLARITY": "ACTIVE_LOW"})
    else:
        _parameters(made, {"SENSITIVITY": "LEVEL_HIGH"})


def _maps(parent: ET.Element, pairs: Sequence[tuple[str, str]]) -> None:
    maps = _add(parent, "portMaps")
    for logical, physical in pairs:
        one = _add(maps, "portMap")
        _add(_add(one, "logicalPort"), "name", logical)
        _add(_add(one, "physicalPort"), "name", physical)


def _parameters(parent: ET.Element, values: dict[str, str]) -> None:
    parameters = _add(parent, "parameters")
    for name, value in values.items():
        one = _add(parameters, "parameter")
        _add(one, "name", name)
        _add(one, "value", value)


def _model(root: ET.Element, name: str, pins: tuple[Pin, ...]) -> None:
    """The views of synthesis and simulation, which have the same files, and the ports."""
    model = _add(root, "model")
    views = _add(model, "views")
    for view, environment in (("synthesis", "synthesis"), ("simulation", "simulation")):
        one = _add(views, "view")
        _add(one, "name", view)
        _add(one, "envIdentifier", f":vivado.xilinx.com:{environment}")
        _add(one, "language", "verilog")
        _add(one, "modelName", name)
        _add(_add(one, "fileSetRef"), "localName", "rtl")
    ports = _add(model, "ports")
    for pin in pins:
        port = _add(ports, "port")
        _add(port, "name", pin.name)
        wire = _add(port, "wire")
        _add(wire, "direction", {"input": "in", "output": "out"}[pin.direction])
        if pin.width > 1:
            vector = _add(wire, "vector")
            _add(vector, "left", str(pin.width - 1), format="long")
            _add(vector, "right", "0", format="long")


def _files(root: ET.Element, files: Sequence[str]) -> None:
    """File sets of the RTL and of the driver."""
    sets = _add(root, "fileSets")
    for name, suffixes in (("rtl", (".v",)), ("driver", (".c", ".h"))):
        one = _add(sets, "fileSet")
        _add(one, "name", name)
        for path in files:
            suffix = f".{path.rpartition('.')[2]}"
            if suffix in suffixes:
                file = _add(one, "file")
                _add(file, "name", path)
                _add(file, "fileType", _FILE_TYPES[suffix])
