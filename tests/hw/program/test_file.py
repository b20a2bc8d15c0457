"""Program files: what goes in comes out, and nothing else is taken for one."""

import struct
import zlib
from dataclasses import replace

import pytest

from golden.support.errors import PotvitError
from golden.synthetic.graphs import random_graph
from hw.compiler import compile_graph
from hw.config import preset
from hw.program import head
from hw.program.file import from_bytes, load_program, save_program, to_bytes
from hw.program.regions import Region

SMALL = {"tokens": 5, "channels": 32, "heads": 2, "depth": 1, "patch": 8, "image_channels": 4}


@pytest.fixture(scope="module")
def program():
    return compile_graph(random_graph(**SMALL), preset("tiny"))


@pytest.fixture(scope="module")
def content(program):
    return to_bytes(program)


def test_there_and_back(program, content, tmp_path):
    path = tmp_path / "deep" / "p.potvit"
    save_program(program, path)
    assert path.read_bytes() == content
    assert load_program(path) == program
    assert [p.name for p in path.parent.iterdir()] == ["p.potvit"]


def test_the_head_says_what_the_program_says(program, content):
    found = head.unpack(content)
    assert found["digest"] == preset("tiny").digest
    assert found["picture_shape"] == program.input_shape
    for region in Region:
        extent = program.regions[region]
        assert (found[f"{region}_at"], found[f"{region}_size"]) == (extent.offset, extent.size)
    at = found["image_offset"]
    assert at % head.ALIGN == 0
    assert content[at : at + found["image_bytes"]] == program.image
    assert found["config"] == "tiny"
    assert found["output_count"] == 10
    ends = [at + entry.size for entry, at in zip(head.HEAD, head.offsets().values(), strict=True)]
    assert ends[-1] == head.HEAD_BYTES == found["head_bytes"]


def refusal(raw):
    with pytest.raises(PotvitError) as refused:
        from_bytes(raw, "it")
    return str(refused.value)


@pytest.mark.parametrize("part", ["magic", "version", "digest", "image_offset", "window", "model"])
def test_every_part_of_the_head_is_guarded(content, part):
    at = head.offsets()[part]
    altered = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    assert "it " in refusal(altered)


def test_reasons(content):
    found = head.unpack(content)
    assert refusal(b"PK\3\4") == "it is no program file: `potvit compile` writes one"
    assert "cut in its head" in refusal(content[:100])
    assert "cut in its image" in refusal(content[: found["image_offset"] + 9])
    assert "cut in its text" in refusal(content[:-1])
    for part in ("image", "text"):
        at = found[f"{part}_offset"] + 5
        altered = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        assert f"altered in its {part}" in refusal(altered)
    newer = bytearray(content)
    struct.pack_into("<I", newer, head.offsets()["version"], 2)
    assert "format 2, this release reads 1: compile it again" in refusal(bytes(newer))


def test_another_release_with_right_checksums(content):
    text = b'{"format": 1}'
    found = head.unpack(content)
    made = bytearray(content[: found["text_offset"]] + text)
    values = found | {"text_bytes": len(text), "text_crc": zlib.crc32(text), "head_crc": 0}
    values["head_crc"] = zlib.crc32(head.pack(values))
    made[: head.HEAD_BYTES] = head.pack(values)
    assert "another release's description" in refusal(bytes(made))


def test_places_that_cannot_be(program, tmp_path):
    with pytest.raises(PotvitError, match="is a folder: a program is one file"):
        save_program(program, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(PotvitError, match="cannot write the program to"):
        save_program(program, tmp_path / "file" / "p.potvit")
    with pytest.raises(PotvitError, match="cannot read a program from"):
        load_program(tmp_path / "none")


def test_long_names_and_many_axes(program):
    long = replace(program, model="ä" * 100)
    assert head.unpack(to_bytes(long))["model"] == "ä" * 31
    assert from_bytes(to_bytes(long)).model == "ä" * 100
    axes = tuple([1] * 9)
    with pytest.raises(PotvitError, match="no room for 9 output_dims"):
        to_bytes(replace(program, logits=replace(program.logits, dims=axes)))
    with pytest.raises(PotvitError, match="no room for its numbers"):
        to_bytes(replace(program, window=1 << 32))
