"""The compiler's proof without RTL: programs against the reference executor, every tensor."""

from dataclasses import replace

import numpy as np
import pytest

from golden.execute.reference import run_reference
from golden.ops.softmax import RULE_FQ, AttnFormat, ExpForm
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph, random_image
from hw.compiler import compile_graph
from hw.config import preset
from hw.interpreter import run_program, run_random_order
from hw.isa.instruction import INSTR_BYTES, UNIT_OF, Mem, Op, Unit

SMALL = {"tokens": 17, "channels": 48, "heads": 3, "depth": 2, "patch": 8, "image_channels": 4}


def compare(program, dram, expected):
    """Compare the logits and every checkpoint."""
    for name in ["logits", *(c.name for c in program.checkpoints)]:
        got, want = program.unpack(name, dram), expected[name]
        assert got.dtype == want.dtype
        assert got.size > 0
        assert np.array_equal(got, want), name


def check(config, seeds=(0,), **options):
    graph = random_graph(**(SMALL | options))
    image = random_image(graph, 5)
    expected = run_reference(graph, image)
    program = compile_graph(graph, config, checkpoints=True)
    assert [c.name for c in program.checkpoints] == [t.name for t in graph.stored()]
    compare(program, run_program(program, config, image), expected)
    plain = compile_graph(graph, config)
    assert not plain.checkpoints
    for seed in seeds:
        compare(program, run_random_order(program, config, image, seed), expected)
        compare(plain, run_random_order(plain, config, image, seed), expected)
    compare(plain, run_program(plain, config, image), expected)


@pytest.mark.parametrize("name", ["tiny", "edge", "base"])
@pytest.mark.parametrize(("bits", "activations"), [(8, 8), (4, 8), (4, 4)])
def test_presets(name, bits, activations):
    config = preset(name).change(precision="w4a4")
    check(config, bits=bits, activations=activations, seeds=(0, 1))


@pytest.mark.parametrize(
    ("name", "channels", "hidden", "fmt"),
    [("tiny", 40, 24, AttnFormat.LOG2), ("tiny", 24, 101, AttnFormat.HALF),
     ("edge", 48, 80, AttnFormat.HALF), ("base", 48, 80, AttnFormat.LOG2)],
)  # fmt: skip
def test_tokens_of_an_odd_number_of_words_of_int4(name, channels, hidden, fmt):
    """The last chunk reads a word that is not the token's; zero weights meet it."""
    config = preset(name).change(precision="w4a4")
    check(config, bits=4, activations=4, channels=channels, heads=2, hidden=hidden, fmt=fmt)


@pytest.mark.parametrize(
    "options",
    [
        {"fmt": AttnFormat.HALF},
        {"rule": RULE_FQ},
        {"tokens": 26, "channels": 40, "heads": 2, "classes": 37, "hidden": 101},
        {"tokens": 50, "channels": 36, "heads": 3, "bits": 4},
        {"tokens": 5, "channels": 16, "heads": 1, "classes": 3},
        {"depth": 1, "tokens": 65, "channels": 64, "heads": 1},
        {"depth": 0},
    ],
)
def test_ragged_shapes(options):
    name = "edge" if options.get("tokens", 0) > 50 or options.get("channels") == 40 else "tiny"
    check(preset(name), **options)


@pytest.mark.parametrize(
    ("name", "patch", "image_channels"),
    [("tiny", 14, 3), ("tiny", 4, 1), ("edge", 14, 3), ("base", 4, 3), ("base", 4, 1)],
)
def test_patch_rows_of_any_length(name, patch, image_channels):
    """Rows of 42, 12 and 4 bytes, padded to whole words of 8 and 16."""
    check(preset(name), patch=patch, image_channels=image_channels, depth=1)


def test_rows_of_more_than_256_keys():
    config = preset("tiny").change(
        name="long", max_tokens=512, max_keys=512, value_words=512, residual_words=4096,
        act_words=4096,
    )  # fmt: skip
    check(config, depth=1, tokens=290, channels=16, heads=1, patch=4)


@pytest.mark.parametrize("name", ["tiny", "edge", "base"])
def test_pictures_without_the_host(name):
    """Three in one run: every result right in every order, and faster than one by one."""
    config = preset(name)
    graph = random_graph(**SMALL)
    images = [random_image(graph, seed) for seed in range(3)]
    expected = [run_reference(graph, image)["logits"] for image in images]
    program = compile_graph(graph, config, pictures=3)
    one = compile_graph(graph, config)
    assert one.cycles < program.cycles < 3 * one.cycles
    assert program.dram_bytes_least < 3 * one.dram_bytes_least
    stack = np.stack(images)
    for dram in (
        run_program(program, config, stack), *(run_random_order(program, config, stack, s)
        for s in range(2)),
    ):  # fmt: skip
        for want, layout in zip(expected, program.results, strict=True):
            assert np.array_equal(layout.unpack(dram), want)
    with pytest.raises(PotvitError, match=r"wants a uint8 picture \(3, "):
        program.dram(images[0])


def test_one_instruction_at_a_time():
    config = preset("tiny")
    graph = random_graph(**SMALL)
    image = random_image(graph, 1)
    program = compile_graph(graph, config, serial=True)
    body = program.instructions()[:-1]
    units = [UNIT_OF[i.op] for i in body]
    for before, instr in zip(units, body[1:], strict=False):
        assert instr.waits == {before: 1}
    dram = run_random_order(program, config, image, 3)
    assert np.array_equal(program.unpack("logits", dram), run_reference(graph, image)["logits"])
    assert program.cycles > 1.2 * compile_graph(graph, config).cycles


def test_iexp_configuration():
    check(preset("tiny").change(exp_form=ExpForm.IEXP), form=ExpForm.IEXP)


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 7, "axi_bytes": 32, "const_rows": 128},
        {"rows": 3, "cols": 8, "lanes": 8, "head_lanes": 32, "axi_bytes": 4},
        {"lanes": 2, "head_lanes": 32, "axi_bytes": 64, "const_rows": 256},
        {"lanes": 16, "cols": 16, "head_lanes": 32, "stream_words": 90},
        {"stream_words": 100, "queue_depth": 2},
        {"out_words": 1, "slots": 1, "norm_words": 12, "value_words": 18},
        {"act_words": 342},
    ],
)
def test_odd_parameter_points(changes):
    check(preset("tiny").change(name="odd", **changes), seeds=(3,))


def test_attention_covers_every_code():
    config = preset("tiny")
    graph = random_graph(**(SMALL | {"tokens": 37}))
    image = random_image(graph, 0)
    program = compile_graph(graph, config, checkpoints=True)
    dram = run_program(program, config, image)
    names = [c.name for c in program.checkpoints]
    codes = [program.unpack(n, dram) for n in names if n.endswith("codes")]
    scores = [program.unpack(n, dram) for n in names if n.endswith("scores")]
    assert set(np.unique(codes)) == set(range(16))
    assert min(s.min() for s in scores) == -128
    assert max(s.max() for s in scores) == 127


@pytest.fixture(scope="module")
def small():
    graph = random_graph(**(SMALL | {"depth": 1}))
    config = preset("tiny")
    return graph, config, compile_graph(graph, config), random_image(graph, 1)


def altered(program, number, **changes):
    """The program with one instruction changed; declarations dropped, as after loading."""
    instr = replace(program.instructions()[number], **changes)
    at = program.entry + number * INSTR_BYTES
    image = program.image[:at] + instr.pack() + program.image[at + INSTR_BYTES :]
    return replace(program, image=image, accesses=())


def test_every_missing_wait_is_found(small):
    """No wait of the program is redundant: without it, somewhere two accesses are unordered."""
    _, config, program, image = small
    checked = 0
    for number, instr in enumerate(program.instructions()):
        for unit in instr.waits:
            if instr.op is Op.MATMUL and checked % 5:
                checked += 1
                continue
            fewer = {u: n for u, n in instr.waits.items() if u is not unit}
            with pytest.raises(PotvitError, match=r"^race"):
                run_program(altered(program, number, waits=fewer), config, image)
            checked += 1
    assert checked > 50


def test_missing_signal_is_found(small):
    _, config, program, image = small
    number = next(i for i, x in enumerate(program.instructions()) if Unit.ATTN in x.signals)
    broken = altered(program, number, signals=frozenset())
    with pytest.raises(PotvitError, match="in vain"):
        run_program(broken, config, image)
    with pytest.raises(PotvitError, match="deadlock"):
        run_random_order(broken, config, image, 0)


def test_wrong_address_is_found(small):
    _, config, program, image = small
    number, instr = next((i, x) for i, x in enumerate(program.instructions()) if x.op is Op.NORM)
    body = replace(instr.body, r_addr=config.residual_words - 1)
    with pytest.raises(PotvitError, match="illegal address"):
        run_program(altered(program, number, body=body), config, image)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v_addr": 1}, "illegal address: values must begin in bank 0"),
        ({"shift": 7}, "illegal instruction: ATTEND shifts by 7"),
        ({"shift": 24}, "illegal instruction: ATTEND shifts by 24"),
    ],
)
def test_illegal_attention_is_found(small, changes, reason):
    _, config, program, image = small
    number, instr = next((i, x) for i, x in enumerate(program.instructions()) if x.op is Op.ATTEND)
    with pytest.raises(PotvitError, match=reason):
        run_program(altered(program, number, body=replace(instr.body, **changes)), config, image)


@pytest.mark.parametrize("changes", [{"addr": 1, "words": 2}, {"addr": 0, "words": 1}])
def test_store_of_part_of_the_tokens_is_found(small, changes):
    _, config, program, image = small
    number, instr = next((i, x) for i, x in enumerate(program.instructions()) if x.op is Op.STORE)
    body = replace(instr.body, src=Mem.VALUE, **changes)
    with pytest.raises(PotvitError, match="no multiple of 2 tokens"):
        run_program(altered(program, number, body=body), config, image)


def test_undeclared_access_is_found(small):
    _, config, program, image = small
    number = next(i for i, x in enumerate(program.instructions()) if x.op is Op.NORM)
    accesses = list(program.accesses)
    accesses[number] = (accesses[number][0], [])
    with pytest.raises(PotvitError, match="does not declare"):
        run_program(replace(program, accesses=tuple(accesses)), config, image)


def test_wrong_weights_give_other_logits(small):
    graph, config, program, image = small
    load = next(x for x in reversed(program.instructions()) if x.op is Op.LOAD)
    at = load.body.dram
    flipped = bytes(b ^ 1 for b in program.image[at : at + 64])
    broken = replace(program, image=program.image[:at] + flipped + program.image[at + 64 :])
    got = broken.logits.unpack(run_program(broken, config, image))
    assert not np.array_equal(got, run_reference(graph, image)["logits"])


def test_untouched_dram_stays(small):
    _, config, program, image = small
    before, after = program.dram(image), run_program(program, config, image)
    logits = program.logits
    keep = np.ones(len(before), bool)
    keep[logits.offset : logits.offset + logits.nbytes] = False
    assert keep.sum() > 0
    assert np.array_equal(before[keep], after[keep])


def test_picture_of_another_shape_is_refused(small):
    _, config, program, image = small
    with pytest.raises(PotvitError, match="uint8 picture"):
        run_program(program, config, image[:-1])


def test_a_program_for_another_configuration_is_refused(small):
    _, config, program, image = small
    other = config.change(queue_depth=config.queue_depth + 1)
    for run in (run_program, lambda p, c, i: run_random_order(p, c, i, 0)):
        with pytest.raises(PotvitError, match="compiled for configuration 'tiny'"):
            run(program, other, image)


def test_a_store_into_the_image_is_found(small):
    _, config, program, image = small
    number, instr = next((i, x) for i, x in enumerate(program.instructions()) if x.op is Op.STORE)
    body = replace(instr.body, dram=0)
    with pytest.raises(PotvitError, match="STORE writes into the program's own image"):
        run_program(altered(program, number, body=body), config, image)
