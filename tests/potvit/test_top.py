"""The package's own files in simulation: the top with AXI's names resets and runs as the inside."""

import re

import pytest

from golden.execute.batched import Executor
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.config import preset
from hw.driver.driver import Driver
from sim.system.harness import system
from sim.system.served import Served

SMALL = {"tokens": 5, "channels": 32, "heads": 2, "depth": 1, "patch": 8, "image_channels": 4}


def socket_of(package):
    """A module with the accelerator's own clock and reset around the package's top; its files."""
    files = [(path.name, path.read_text()) for path in sorted((package / "rtl").iterdir())]
    top = dict(files)["potvit_tiny_axi.v"]
    header = top[top.index("module") : top.index(");")]
    ports = re.findall(r"(input|output) wire (\[\d+:0\] )?(\w+)", header)
    inner = {"aclk": "clk", "aresetn": "rst"}
    outer = ", ".join(f"{way} wire {span}{inner.get(name, name)}" for way, span, name in ports)
    values = {"aclk": "clk", "aresetn": "~rst"}
    pins = ", ".join(f".{name}({values.get(name, name)})" for _, _, name in ports)
    text = f"module socket ({outer});\n  potvit_tiny_axi top ({pins});\nendmodule\n"
    return "socket", [*files, ("socket.v", text)]


@pytest.mark.slow
def test_the_packages_rtl_runs_a_network(tiny_package):
    graph = random_graph(**SMALL)
    program, picture = compile_graph(graph, preset("tiny")), random_image(graph, 0)
    model = system(preset("tiny"), accelerator=socket_of(tiny_package))
    with Served(preset("tiny"), simulator=model) as served:
        port = served.port()
        driver = Driver(port, served.description)
        got = driver.run(driver.load(program, 0x1000), picture)
        port.close()
    assert got.ravel().tolist() == Executor(graph).run(picture[None])[0].tolist()
