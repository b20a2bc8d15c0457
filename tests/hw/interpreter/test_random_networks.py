"""Random networks on random configurations: every tensor right, or refused in one line."""

import random

import numpy as np
import pytest

from golden.execute.reference import run_reference
from golden.ops.softmax import AttnFormat, ExpForm
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.config import Config
from hw.interpreter import run_program
from hw.precision import Precision

GRAPHS, CONFIGS = 30, 10

#: What a refusal may say: a size, a buffer, a mode or a form that the configuration lacks.
REASONS = (
    "stops at", "lacks", "take precision", "was generated with",
    "no multiple of the bus", "keeps token", "would be outstanding",
)  # fmt: skip


def graph_options(seed):
    """Tokens, widths, heads, depth, patches, formats and the end of a network."""
    rng = random.Random(seed)
    heads = rng.choice([1, 2, 3, 4])
    fmt = rng.choice(list(AttnFormat))
    return {
        "tokens": rng.choice([5, 17, 17, 26, 37, 50, 65]),
        "channels": heads * rng.choice([4, 7, 8, 12, 16, 20, 32]),
        "heads": heads,
        "depth": rng.choice([0, 1, 1, 2]),
        "patch": rng.choice([2, 4, 4, 8]),
        "image_channels": rng.choice([1, 3, 4, 4]),
        "hidden": rng.choice([None, 24, 101]),
        "classes": rng.choice([1, 10, 37]),
        "bits": (bits := rng.choice([8, 8, 4])),
        "activations": 4 if bits == 4 and seed % 2 else 8,
        "features": rng.choice([None, None, "class", "all"]),
        "fmt": fmt,
        "seed": seed,
    }


def random_config(seed):
    """A legal configuration, often with memories too small for everything."""
    rng = random.Random(1000 + seed)
    while True:
        lanes = rng.choice([2, 4, 8, 16])
        cols = lanes * rng.choice([1, 2])
        head_lanes = 2 * lanes * rng.choice([1, 1, 2, 4])
        tight = rng.random() < 0.7
        try:
            return Config(
                name=f"random{seed}",
                rows=rng.randrange(2, 9),
                cols=cols,
                lanes=lanes,
                axi_bytes=rng.choice([4, 8, 8, 16, 16, 32, 64]),
                head_lanes=head_lanes,
                act_words=rng.choice([100, 150, 300]) if tight else 4096,
                stream_words=rng.choice([400, 800]) if tight else 2048,
                residual_words=rng.choice([48, 96, 192]) if tight else 4096,
                value_words=256,
                logit_words=rng.choice([64, 128]) if tight else 512,
                slots=rng.choice([2, 8, 32]),
                out_words=rng.choice([2, 16]),
                norm_words=64 if tight else 256,
                const_rows=256,
                queue_depth=rng.choice([2, 8]),
                burst_beats=rng.choice([4, 16]),
                precision=Precision.W8A8 if rng.random() >= 0.95 else Precision.W4A4,
                exp_form=rng.choice([ExpForm.BASE2, ExpForm.BASE2, ExpForm.IEXP]),
            )
        except PotvitError:
            continue


_outcomes: dict[str, int] = {"tried": 0, "equal": 0, "spilled": 0}


def check(number, config):
    """Checkpointed and plain program of graph ``number``: equal, or refused with the reason."""
    form = config.exp_form if number else ExpForm.IEXP
    graph = random_graph(form=form, **graph_options(number))
    programs, refusal = [], ""
    try:
        programs = [compile_graph(graph, config, checkpoints=c) for c in (True, False)]
    except PotvitError as error:
        refusal = str(error)
    if refusal:
        assert "\n" not in refusal
        assert any(reason in refusal for reason in REASONS), refusal
        return
    image = random_image(graph, number)
    expected = run_reference(graph, image)
    compared = 0
    for program in programs:
        dram = run_program(program, config, image)
        for name in (graph.output, *(c.name for c in program.checkpoints)):
            got, want = program.unpack(name, dram), expected[name]
            assert np.array_equal(got, want), f"{config}: {name}"
            compared += want.size
    assert compared > 0
    _outcomes["equal"] += 1
    _outcomes["spilled"] += programs[1].regions["spill"].size > 0


@pytest.mark.parametrize("number", range(GRAPHS))
def test_one_of_its_configurations(number):
    _outcomes["tried"] += 1
    check(number, random_config(number * CONFIGS + number % CONFIGS))


def test_most_ran_and_some_spilled():
    """Refusals alone would prove nothing."""
    if _outcomes["tried"] < GRAPHS:
        pytest.skip("the networks above were not all run")
    assert _outcomes["equal"] >= GRAPHS // 2, _outcomes
    assert _outcomes["spilled"] >= 3, _outcomes


@pytest.mark.slow
@pytest.mark.parametrize("number", range(GRAPHS))
def test_all_of_its_configurations(number):
    for which in range(CONFIGS):
        check(number, random_config(number * CONFIGS + which))
