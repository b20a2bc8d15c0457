"""Both drivers against the same Verilated RTL: models resident side by side, no reset between."""

import functools
import subprocess
from pathlib import Path

import numpy as np
import pytest

from golden.data.digits import digits_split
from golden.execute.batched import Executor
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from hw.commands.config_arguments import read_config
from hw.compiler import compile_graph
from hw.config import preset
from hw.driver.driver import Driver, Failure
from hw.host.register_map import Error
from hw.program.file import load_program, save_program
from potvit.__main__ import run
from sim.system.bundles import network
from sim.system.served import Served

C = Path(__file__).with_name("c")
SMALL = {"tokens": 5, "channels": 32, "heads": 2, "depth": 1, "patch": 8, "image_channels": 4}
#: Windows of the resident programs.
FIRST, SECOND, ROOM = 0x10_0000, 0x30_0000, 0x10_0000
CONFIG = preset("tiny")


class Case:
    """A program, a picture, and the logits that it must give."""

    def __init__(self, graph, picture, folder, name):
        self.program = compile_graph(graph, CONFIG)
        self.picture = picture
        self.want = Executor(graph).run(picture[np.newaxis])[0].tolist()
        self.file = folder / f"{name}.potvit"
        save_program(self.program, self.file)
        self.raw = folder / f"{name}.raw"
        self.raw.write_bytes(picture.tobytes())


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Digits, a small random network, and the file of a program for another accelerator."""
    folder = tmp_path_factory.mktemp("programs")
    net = network("vit_digits", "w8a8", "log2")
    sample = digits_split()[1][3]
    digit = Case(net.graph, sample.pixels(net.model.spec.preprocess), folder, "digit")
    digit.label = sample.label
    graph = random_graph(**SMALL)
    small = Case(graph, random_image(graph, 1), folder, "small")
    other = folder / "other.potvit"
    save_program(compile_graph(graph, CONFIG.change(name="other", rows=4)), other)
    return digit, small, other


@pytest.fixture(scope="module")
def served():
    with Served(CONFIG) as system:
        yield system


@pytest.fixture
def python(served):
    port = served.port()
    yield Driver(port, served.description)
    port.close()


def built(package, out):
    """The C driver of a package with the test program, under sanitizers."""
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-g"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [package / "driver" / "potvit.c", C / "verbs.c", C / "simulated.c"]
    include = [f"-I{package / 'include'}", f"-I{C}"]
    subprocess.run(["gcc", *flags, *include, *map(str, sources), "-o", str(out)], check=True)
    return out


def asked(binary, served, *lines):
    """The answers of the C driver to a session of its own."""
    done = subprocess.run(
        [str(binary), str(served.path)], input="\n".join(lines) + "\n",
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines), done.stdout
    return answers


@pytest.fixture(scope="module")
def binary(tiny_package, tmp_path_factory):
    return built(tiny_package, tmp_path_factory.mktemp("c") / "verbs")


@pytest.fixture
def in_c(served, binary):
    """``in_c(line, ...)``: `asked` of the driver in the package of `CONFIG`."""
    return functools.partial(asked, binary, served)


def values(answer):
    best, numbers = answer.split(":")
    return int(best), [int(x) for x in numbers.split()]


def test_python_switches_models_without_a_reset(python, cases):
    digit, small, _ = cases
    here, there = (
        python.load(case.program, at, ROOM) for case, at in ((digit, FIRST), (small, SECOND))
    )
    for resident, case in ((here, digit), (there, small), (here, digit), (there, small)):
        assert python.run(resident, case.picture).ravel().tolist() == case.want
        assert abs(python.counter("cycles") - case.program.cycles) < 0.01 * case.program.cycles
    assert int(np.argmax(digit.want)) == digit.label
    assert python.error() == Failure(code=Error.NONE, unit=0, tag=0)


def test_c_switches_models_without_a_reset(in_c, cases):
    digit, small, _ = cases
    runs = [(0, digit), (1, small), (0, digit), (1, small)]
    verbs = []
    for place, case in runs:
        verbs += [f"start {place} {case.raw}", "wait 0", "interrupt", f"result {place}", "cycles"]
    answers = in_c(
        "open", f"load 0 {digit.file} {FIRST} {ROOM}", f"load 1 {small.file} {SECOND} {ROOM}",
        *verbs,
    )  # fmt: skip
    assert answers[0] == "0 all is well"
    for answer, case in zip(answers[1:3], (digit, small), strict=True):
        assert answer == f"{case.program.window} 0 all is well"
    for number, (_, case) in enumerate(runs):
        started, waited, interrupt, result, cycles = answers[3 + 5 * number : 8 + 5 * number]
        assert started == waited == "0 all is well"
        assert interrupt == "0"
        best, logits = values(result)
        assert logits == case.want
        assert best == int(np.argmax(case.want))
        assert abs(int(cycles) - case.program.cycles) < 0.01 * case.program.cycles
    assert values(answers[6])[0] == digit.label


def test_both_refuse_a_program_for_another_accelerator(python, in_c, cases, tmp_path):
    digit, _, other = cases
    with pytest.raises(PotvitError, match="compiled for configuration 'other'") as refused:
        python.load(load_program(other), FIRST, ROOM)
    assert "\n" not in str(refused.value)
    python.port.close()
    raw = digit.file.read_bytes()
    files = {"none": b"no program at all", "cut": raw[:-9], "cut2": raw[:99]}
    for name, at in (("head", 40), ("image", 2000), ("text", len(raw) - 4)):
        files[name] = raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :]
    files["format"] = raw[:8] + b"\7" + raw[9:]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    answers = in_c(
        "open", f"load 0 {other} {FIRST} {ROOM}",
        *(f"load 0 {tmp_path / name} {FIRST} {ROOM}" for name in files),
        f"load 0 {digit.file} {FIRST} 4096", f"load 0 {digit.file} {FIRST + 4} {ROOM}",
        f"load 0 {digit.file} {(1 << 40) - 4096} {ROOM}",
    )  # fmt: skip
    codes = [int(answer.split()[1]) for answer in answers[1:]]
    assert "another configuration" in answers[1]
    assert codes == [7, 3, 5, 5, 6, 6, 6, 4, 8, 9, 10]


def test_refusals_in_python(python, cases):
    digit, _, _ = cases
    with pytest.raises(PotvitError, match=r"needs \d+ bytes, the window has 4096"):
        python.load(digit.program, FIRST, 4096)
    with pytest.raises(PotvitError, match="no multiple of the bus width, 8 bytes"):
        python.load(digit.program, FIRST + 4)
    with pytest.raises(PotvitError, match="beyond the 40-bit addresses"):
        python.load(digit.program, (1 << 40) - 4096)
    resident = python.load(digit.program, FIRST)
    with pytest.raises(PotvitError, match="wants a uint8 picture"):
        python.start(resident, digit.picture.astype(np.int8))
    with pytest.raises(PotvitError, match="no counter 'cylces'; there are cycles, macs"):
        python.counter("cylces")


def test_cancel_and_go_on(python, in_c, cases):
    digit, small, _ = cases
    here = python.load(digit.program, FIRST)
    python.start(here, digit.picture)
    with pytest.raises(PotvitError, match="a run is going on"):
        python.start(here, digit.picture)
    with pytest.raises(PotvitError, match="still going on after 0 s"):
        python.wait(0)
    python.cancel()
    assert python.error().code == Error.ABORTED
    with pytest.raises(PotvitError, match="no run has ended well"):
        python.result(here)
    assert python.run(here, digit.picture).ravel().tolist() == digit.want
    python.port.close()
    start = f"start 0 {digit.raw}"
    lines = ["open", f"load 0 {digit.file} {FIRST} {ROOM}", start, start, "wait 1", "result 0"]
    lines += ["cancel", "result 0", f"start 0 {small.raw}", start, "wait 0", "result 0"]
    answers = in_c(*lines)
    codes = [int(answer.split()[0]) for answer in answers[2:10]]
    assert codes == [0, 12, 14, 13, 0, 13, 11, 0]
    assert values(answers[-1])[1] == digit.want


def test_errors_of_the_hardware_have_names(python, in_c, cases):
    """A program whose first instruction was overwritten in DRAM."""
    digit, _, _ = cases
    here = python.load(digit.program, FIRST)
    python.port.put(FIRST + digit.program.entry, b"\xff" * 16)
    python.start(here, digit.picture)
    with pytest.raises(PotvitError, match=r"ended with illegal instruction \(error 1\) in"):
        python.wait()
    python.port.close()
    answers = in_c("open", f"load 0 {digit.file} {FIRST} {ROOM}", "interrupt", "wait 1")
    assert answers[2:] == ["0", "15 the run ended with an error: illegal instruction in sequencer"]


@pytest.mark.slow
def test_both_classify_on_a_configuration_of_ones_own(tmp_path):
    """From one TOML file: the package, its C driver, its program, a system that runs them."""
    mine = tmp_path / "mine.toml"
    mine.write_text('preset = "tiny"\nrows = 3\ncols = 8\nlanes = 4\naxi_bytes = 16\n')
    folder = tmp_path / "package"
    words = ["--config", str(mine), "--model", "vit_digits", "--out", str(folder)]
    assert run(["package", *words]) == 0
    file = folder / "programs" / "vit_digits-w8a8-log2.potvit"
    net = network("vit_digits", "w8a8", "log2")
    sample = digits_split()[1][3]
    picture = sample.pixels(net.model.spec.preprocess)
    (tmp_path / "picture.raw").write_bytes(picture.tobytes())
    want = Executor(net.graph).run(picture[np.newaxis])[0].tolist()
    assert int(np.argmax(want)) == sample.label
    binary = built(folder, tmp_path / "verbs")
    with Served(read_config(mine)) as system:
        answers = asked(
            binary, system, "open", f"load 0 {file} {FIRST} {ROOM}",
            f"start 0 {tmp_path / 'picture.raw'}", "wait 0", "result 0",
        )  # fmt: skip
        assert values(answers[-1]) == (sample.label, want)
        port = system.port()
        driver = Driver(port, system.description)
        resident = driver.load(load_program(file), SECOND, ROOM)
        assert driver.run(resident, picture).ravel().tolist() == want
        port.close()
