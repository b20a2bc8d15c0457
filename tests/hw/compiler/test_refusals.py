"""What cannot run is refused in one line that names the reason."""

from dataclasses import replace

import numpy as np
import pytest

from golden.ops.softmax import ExpForm
from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph
from golden.synthetic.swin import random_swin_graph
from hw.compiler import compile_graph
from hw.config import preset

SMALL = {"tokens": 17, "channels": 32, "heads": 2, "depth": 1, "patch": 8, "image_channels": 4}


def refused(config, match, **options):
    with pytest.raises(PotvitError, match=match) as caught:
        compile_graph(random_graph(**(SMALL | options)), config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"act_words": 60}, r"buffer ACT .* lacks \d+ bytes"),
        ({"stream_words": 80}, r"buffer STREAM .* lacks \d+ bytes"),
        ({"residual_words": 12}, r"buffer RESIDUAL .* lacks 16 bytes"),
        ({"value_words": 16}, r"buffer VALUE .* lacks 32 bytes"),
        ({"logit_words": 4}, r"buffer LOGIT .* lacks 8 bytes"),
        ({"norm_words": 7}, r"buffer NORM .* lacks 32 bytes"),
        ({"max_tokens": 16}, "17 tokens, .* stops at 16"),
        ({"max_channels": 16}, "32 channels, .* stops at 16"),
        ({"exp_form": ExpForm.IEXP}, "was generated with iexp"),
    ],
)
def test_configuration_too_small(changes, match):
    refused(preset("tiny").change(**changes), match)


def test_four_bit_weights_need_the_mode():
    refused(
        preset("tiny").change(precision="w8a8"), "has precision w8a8: take precision w4a8", bits=4
    )


def test_four_bit_activations_need_a_mode_that_multiplies_them():
    line = r"'blocks\.0\.ln1' makes 4-bit activations, .*'tiny' has precision w4a8: take .* w4a4"
    refused(preset("tiny").change(precision="w4a8"), line, bits=4, activations=4)


def test_uniform_attention_is_for_the_executor():
    refused(preset("tiny"), "only the executor runs it", fmt=None)


@pytest.mark.parametrize("prefix", [0, 2])
def test_one_token_stands_in_front_of_the_patches(prefix):
    refused(preset("tiny"), f"{prefix} tokens in front of the patches", prefix=prefix, tokens=18)


def test_rows_longer_than_the_hardware_sums():
    refused(preset("base"), "290 tokens, .* stops at 256", tokens=290)


def test_rows_of_patches_must_be_whole_beats():
    config = preset("tiny").change(axi_bytes=64, const_rows=256)
    refused(config, "axi_bytes = 64", tokens=2, patch=2, image_channels=4)


def test_block_count_out_of_range():
    with pytest.raises(PotvitError, match="10 token blocks"):
        compile_graph(random_graph(**SMALL), preset("tiny"), blocks=10)


def changed(graph, name, **changes):
    nodes = tuple(replace(n, **changes) if n.name == name else n for n in graph.nodes)
    return replace(graph, nodes=nodes)


def test_accumulators_are_proven():
    graph = random_graph(**SMALL)
    bias = np.full(32, (1 << 31) - 1, np.int32)
    with pytest.raises(PotvitError, match=r"'blocks\.0\.q' can overflow"):
        compile_graph(changed(graph, "blocks.0.q", bias=bias), preset("tiny"))


def test_selected_token_must_start_a_group():
    graph = changed(random_graph(**SMALL), "select", index=1)
    with pytest.raises(PotvitError, match="multiple of rows"):
        compile_graph(graph, preset("tiny"))


def test_unknown_shapes_of_graph():
    graph = random_graph(**SMALL)
    lost = replace(graph, nodes=tuple(n for n in graph.nodes if n.name != "blocks.0.gelu"))
    with pytest.raises(PotvitError, match=r"no kernel takes 'blocks\.0\.fc1' \(Linear\)"):
        compile_graph(lost, preset("tiny"))
    more = replace(graph.nodes[0], name="more", inputs=("logits",), output="more")
    extra = replace(graph, nodes=(*graph.nodes, more))
    with pytest.raises(PotvitError, match=r"no kernel takes 'more' \(PatchEmbed\)"):
        compile_graph(extra, preset("tiny"))
    norm = next(n for n in graph.nodes if n.name == "blocks.0.ln2")
    twice = replace(graph, nodes=(*graph.nodes, replace(norm, name="again", output="again")))
    with pytest.raises(PotvitError, match="wants one LayerNorm"):
        compile_graph(twice, preset("tiny"))


@pytest.mark.parametrize("shift", [-6, 9])
def test_last_shifts_that_the_shifter_array_has(shift):
    graph = changed(random_graph(**SMALL), "blocks.0.attn", shift=np.array([0, shift], np.int32))
    assert compile_graph(graph, preset("tiny")).cycles > 0


@pytest.mark.parametrize("shift", [-7, 10])
def test_shift_that_the_shifter_array_lacks(shift):
    graph = changed(random_graph(**SMALL), "blocks.0.attn", shift=np.array([0, shift], np.int32))
    with pytest.raises(PotvitError, match=rf"'blocks\.0\.attn'.*{14 + shift}.*has 8\.\.23"):
        compile_graph(graph, preset("tiny"))


def test_distant_shift_is_refused():
    graph = changed(random_graph(**SMALL), "blocks.0.fc1", shift=np.full(128, 40, np.int32))
    with pytest.raises(PotvitError, match=r"'blocks\.0\.fc1' needs a shift outside -32"):
        compile_graph(graph, preset("tiny"))


@pytest.mark.parametrize(
    ("node", "changes", "match"),
    [
        ("blocks.0.scores", {"bias": np.zeros((2, 17, 17), np.int8)}, "bias"),
        ("blocks.0.codes", {"masked": True}, "masked"),
        ("patch_embed", {"bias": np.zeros(32, np.int32)}, "bias"),
    ],
)
def test_what_no_program_does_is_refused_by_name(node, changes, match):
    graph = changed(random_graph(**SMALL), node, **changes)
    with pytest.raises(PotvitError, match=rf"only the executor runs '{node}'.*{match}"):
        compile_graph(graph, preset("tiny"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"max_keys": 8}, r"windows of 16 tokens, .* stops at 8 \(max_keys\)"),
        ({"max_channels": 32}, r"has \d+ channels, .* stops at 32 \(max_channels\)"),
    ],
)
def test_windows_that_do_not_fit_are_refused(changes, match):
    with pytest.raises(PotvitError, match=match) as caught:
        compile_graph(random_swin_graph(), preset("tiny").change(**changes))
    assert "\n" not in str(caught.value)
