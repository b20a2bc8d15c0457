"""What training leaves on disk: the right tensors are taken, nothing of the file is run."""

import argparse
import collections
import datetime
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from golden.models.checkpoint import read_checkpoint
from golden.models.load import load_model
from golden.support.errors import PotvitError


@pytest.fixture(scope="module")
def clean():
    return load_model("vit_digits").module.state_dict()


def shifted(state, by, prefix=""):
    """The same tensors plus a number that tells them apart."""
    return {f"{prefix}{name}": value + by for name, value in state.items()}


def taken(path, state):
    """What `read_checkpoint` added to ``state``, the same for every tensor."""
    found = read_checkpoint(path)
    assert set(found.state) == set(state)
    offsets = {round(float((found.state[n] - v).mean()), 4) for n, v in state.items()}
    assert len(offsets) == 1
    return offsets.pop()


class Settings(dict):
    """A dictionary of settings, as frameworks make them."""


class Callback:
    """An object of the framework."""

    def __init__(self):
        self.best, self.monitor = Path("x"), "val"


class Evil:
    """Leaves a mark when something unpickles it."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


#: Keys of a checkpoint in falling precedence; each row says which of two sets wins.
PRECEDENCE = [
    ("state_dict_ema", "state_dict"),
    ("model_ema", "model"),
    ("state_dict_ema", "model_ema"),
    ("state_dict", "model"),
    ("model_ema", "state_dict"),
    ("ema_state_dict", "state_dict"),
    ("teacher", "student"),
    ("ema", "model"),
]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("first", "second"), PRECEDENCE)
def test_averaged_weights_come_first(clean, tmp_path, first, second, reverse):
    content = {first: shifted(clean, 1), second: shifted(clean, 2), "epoch": 3}
    if reverse:
        content = dict(reversed(content.items()))
    torch.save(content, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 1
    found = read_checkpoint(tmp_path / "w.pth")
    assert (found.key, found.passed) == (first, (second,))
    line = found.describe()
    assert f"of '{first}' (not '{second}')" in line
    assert "\n" not in line


def test_timm_agrees_on_the_precedence(clean, tmp_path):
    from timm.models import load_state_dict

    for first, second in PRECEDENCE[:5]:
        content = {second: shifted(clean, 2), first: shifted(clean, 1)}
        torch.save(content, tmp_path / "w.pth")
        theirs = load_state_dict(str(tmp_path / "w.pth"))
        ours = read_checkpoint(tmp_path / "w.pth").state
        assert all(torch.equal(ours[n], theirs[n]) for n in clean)


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "state_dict", "model", "net",
                                 "model_state_dict", "module", "state.model"])  # fmt: skip
def test_one_set_of_weights_under_any_key(clean, tmp_path, key):
    content = shifted(clean, 1)
    for part in reversed(key.split(".")):
        content = {part: content}
    torch.save(content | {"epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 1
    assert read_checkpoint(tmp_path / "w.pth").key == key


def test_an_empty_average_is_none(clean, tmp_path):
    content = {"state_dict_ema": None, "model_ema": {}, "state_dict": shifted(clean, 2)}
    torch.save(content, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 2


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "model.", "net.",
                                    "module._orig_mod.", "_fsdp_wrapped_module.",
                                    "backbone.", "model.encoder."])  # fmt: skip
def test_prefixes_of_wrappers(clean, tmp_path, prefix):
    torch.save({"state_dict": shifted(clean, 1, prefix)}, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 1


def test_wrappers_inside_the_names(clean, tmp_path):
    inside = {n.replace("blocks.1.", "blocks.1._checkpoint_wrapped_module."): v
              for n, v in clean.items()}  # fmt: skip
    torch.save(inside, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 0


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".pth.tar"])
@pytest.mark.parametrize("new_format", [True, False])
def test_timms_training_checkpoint(clean, tmp_path, suffix, new_format):
    content = {
        "epoch": 9, "arch": "deit_tiny_patch16_224", "version": 2, "metric": np.float64(81.2),
        "args": argparse.Namespace(model="deit_tiny_patch16_224", lr=0.1, num_classes=10),
        "state_dict": shifted(clean, 2), "state_dict_ema": shifted(clean, 1),
        "optimizer": {"state": {0: {"step": torch.tensor(3)}}, "param_groups": [{"lr": 0.1}]},
    }  # fmt: skip
    path = tmp_path / f"model_best{suffix}"
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    assert taken(path, clean) == 1
    found = read_checkpoint(path)
    assert found.arch == "deit_tiny_patch16_224"
    assert found.settings["num_classes"] == 10


def lightning(clean):
    return {
        "epoch": 3, "global_step": 77, "pytorch-lightning_version": "2.4.0",
        "state_dict": shifted(clean, 1, "model.") | {"criterion.weight": torch.ones(10)},
        "hyper_parameters": Settings(model_name="vit_small_patch16_224", lr=0.1),
        "callbacks": {"ModelCheckpoint": Callback()}, "optimizer_states": [{"x": np.arange(3)}],
        "started": datetime.datetime(2024, 1, 1), "counts": collections.Counter("aab"),
        "defaults": collections.defaultdict(list, {"a": [1]}), "names": {"a", "b"},
        "loops": {"fit": {"path": Path("x"), "seen": frozenset([1])}},
    }  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_lightnings_checkpoint(clean, tmp_path, protocol):
    torch.save(lightning(clean), tmp_path / "last.ckpt", pickle_protocol=protocol)
    assert taken(tmp_path / "last.ckpt", clean) == 1
    found = read_checkpoint(tmp_path / "last.ckpt")
    assert found.prefix == "model."
    assert found.dropped == ("criterion.weight",)
    assert "left out: criterion.weight" in found.describe()


def test_lightning_with_an_average_beside(clean, tmp_path):
    state = shifted(clean, 2, "model.") | shifted(clean, 1, "model_ema.module.")
    torch.save({"state_dict": state}, tmp_path / "w.ckpt")
    assert taken(tmp_path / "w.ckpt", clean) == 1


def test_a_classifier_outside_is_not_lost_in_silence(clean, tmp_path):
    state = shifted(clean, 1, "backbone.") | {"classifier.weight": torch.ones(3, 10)}
    torch.save({"state_dict": state}, tmp_path / "w.ckpt")
    with pytest.raises(PotvitError, match=r"tensor classifier.weight lies outside 'backbone\.'"):
        read_checkpoint(tmp_path / "w.ckpt")


def test_torchs_averaged_model(clean, tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(load_model("vit_digits").module)
    torch.save(averaged.state_dict(), tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 0
    assert read_checkpoint(tmp_path / "w.pth").dropped == ("n_averaged",)


def test_parameters_and_extra_state(clean, tmp_path):
    state = collections.OrderedDict((n, nn.Parameter(v + 1)) for n, v in clean.items())
    state["blocks.0._extra_state"] = Callback()
    torch.save({"model": state}, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 1


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn]
)
def test_other_precisions(clean, tmp_path, dtype):
    torch.save({n: v.to(dtype) for n, v in clean.items()}, tmp_path / "w.pth")
    state = read_checkpoint(tmp_path / "w.pth").state
    assert {v.dtype for v in state.values()} == {torch.float32}


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("where", ["beside", "inside", "alone"])
def test_nothing_of_the_file_runs(clean, tmp_path, where, new_format):
    mark = tmp_path / "mark"
    evil = Evil(mark)
    content = {
        "beside": {"state_dict": shifted(clean, 1), "hook": evil},
        "inside": {"state_dict": shifted(clean, 1) | {"hook": evil}},
        "alone": evil,
    }[where]
    path = tmp_path / "w.pth"
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    if where == "beside":
        assert taken(path, clean) == 1
    else:
        with pytest.raises(PotvitError, match=r"weights file .* holds"):
            read_checkpoint(path)
    assert not mark.exists()
    # The file is not harmless: an ordinary unpickler does run it.
    pickle.loads(pickle.dumps(evil))
    assert mark.exists()


def test_a_whole_module_is_refused_with_the_cure(tmp_path):
    torch.save(load_model("vit_digits").module, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match=r"VisionTransformer.*save its state_dict\(\) instead"):
        read_checkpoint(tmp_path / "w.pth")
    torch.save({"model": load_model("vit_digits").module, "epoch": 1}, tmp_path / "v.pth")
    with pytest.raises(PotvitError, match=r"VisionTransformer under 'model'.*state_dict\(\)"):
        read_checkpoint(tmp_path / "v.pth")


def test_torchscript_is_refused(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "w.pt"))
    with pytest.raises(PotvitError, match="TorchScript"):
        read_checkpoint(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("vit.embeddings.patch_embeddings.projection.weight", "Hugging Face transformers"),
        ("conv_proj.weight", "torchvision"),
        ("backbone.patch_embed.projection.weight", "mmpretrain"),
    ],
)
def test_other_packages_names_are_named(tmp_path, name, package):
    torch.save({name: torch.ones(3)}, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match=f"names its tensors as {package} does"):
        read_checkpoint(tmp_path / "w.pth")


def shards(clean, folder, suffix):
    names = sorted(clean)
    halves = {f"model-0000{i + 1}-of-00002{suffix}": names[i::2] for i in range(2)}
    for file, part in halves.items():
        tensors = {n: (clean[n] + 1).contiguous() for n in part}
        if suffix == ".bin":
            torch.save(tensors, folder / file)
        else:
            save_file(tensors, folder / file)
    index = {"weight_map": {n: file for file, part in halves.items() for n in part}}
    stem = "pytorch_model.bin" if suffix == ".bin" else "model.safetensors"
    (folder / f"{stem}.index.json").write_text(json.dumps(index))
    return folder / f"{stem}.index.json"


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards(clean, tmp_path, suffix):
    index = shards(clean, tmp_path, suffix)
    assert taken(index, clean) == 1
    assert taken(tmp_path, clean) == 1
    victim = next(tmp_path.glob(f"*-of-00002{suffix}"))
    victim.unlink()
    with pytest.raises(PotvitError, match=f"{victim.name} does not exist"):
        read_checkpoint(index)
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.bin"}}))
    with pytest.raises(PotvitError, match="not a file beside it"):
        read_checkpoint(index)
    index.write_text("{}")
    with pytest.raises(PotvitError, match="no index of shards"):
        read_checkpoint(index)


def test_the_export_for_the_hub(clean, tmp_path):
    save_file(shifted(clean, 1), tmp_path / "model.safetensors")
    config = {"architecture": "vit_small_patch16_224", "num_classes": 10}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert taken(tmp_path, clean) == 1
    assert read_checkpoint(tmp_path).arch == "vit_small_patch16_224"


def test_integers_among_the_tensors(clean, tmp_path):
    torch.save(clean | {"norm.bias": clean["norm.bias"].int()}, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match=r"tensor norm.bias is int32, not floating point"):
        read_checkpoint(tmp_path / "w.pth")


def test_notes_of_the_run_among_the_tensors(clean, tmp_path):
    notes = {"epoch": 5, "best": np.float64(0.5), "name": "mine", "seed": None}
    torch.save(shifted(clean, 1) | notes, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 1
    assert read_checkpoint(tmp_path / "w.pth").dropped == tuple(notes)
    torch.save({"model": shifted(clean, 2) | notes, "epoch": 5}, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 2
    torch.save({"epoch": 5, "losses": torch.ones(3)}, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match="holds no dictionary of tensors"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("name", "stranger", "kind"),
    [
        ("head.weight", lambda t: t.numpy(), "numpy"),
        ("head.weight", lambda t: t.to_sparse(), "_rebuild_sparse_tensor"),
        ("patch_embed.proj.weight", lambda t: t.to("meta"), "_rebuild_meta_tensor"),
        ("head.weight", lambda t: t.tolist(), "list"),
        ("patch_embed.proj.weight", lambda t: t.numpy(), "numpy"),
    ],
)
@pytest.mark.parametrize("key", ["", "state_dict"])
def test_what_is_no_plain_tensor_is_named(clean, tmp_path, name, stranger, kind, key):
    state = clean | {name: stranger(clean[name])}
    torch.save({key: state} if key else state, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match=rf"holds a [\w.]*{kind}[\w.]* as {name}, no") as refusal:
        read_checkpoint(tmp_path / "w.pth")
    assert "\n" not in str(refusal.value)


def test_a_tensor_of_a_shape_beyond_all_memory(clean, tmp_path):
    """A few bytes that claim to be terabytes."""
    bomb = torch.ones(1, dtype=torch.float16).expand(1 << 24, 1 << 24)
    torch.save(clean | {"norm.bias": bomb}, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match=r"tensor norm.bias .* does not fit the memory"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("new_format", [True, False])
def test_contents_count_and_not_suffixes(clean, tmp_path, new_format):
    save_file(shifted(clean, 1), tmp_path / "w.bin")
    assert taken(tmp_path / "w.bin", clean) == 1
    torch.save(shifted(clean, 2), tmp_path / "w.pth", _use_new_zipfile_serialization=new_format)
    (tmp_path / "w.pth").rename(tmp_path / "w.safetensors")
    assert taken(tmp_path / "w.safetensors", clean) == 2


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, torch.ones(3), {"model": {}}])
def test_no_weights_at_all(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match="holds no dictionary of tensors"):
        read_checkpoint(tmp_path / "w.pth")


def test_sets_of_weights_under_keys_that_nobody_knows_are_named(clean, tmp_path):
    torch.save({"params": clean, "epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match="holds tensors under 'params'"):
        read_checkpoint(tmp_path / "w.pth")
    torch.save({"model": shifted(clean, 1), "params_ema": clean}, tmp_path / "w.pth")
    assert taken(tmp_path / "w.pth", clean) == 1
    assert read_checkpoint(tmp_path / "w.pth").passed == ("params_ema",)


def test_cut_files(clean, tmp_path):
    torch.save({"state_dict": clean}, tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    for count in (1, 2, 3, 100, len(whole) // 2, len(whole) - 9):
        (tmp_path / "w.pth").write_bytes(whole[:count])
        with pytest.raises(PotvitError, match="cannot be read"):
            read_checkpoint(tmp_path / "w.pth")


def test_other_suffixes(tmp_path):
    (tmp_path / "w.npz").write_bytes(b"PK")
    with pytest.raises(PotvitError, match="NumPy's: load it with timm"):
        read_checkpoint(tmp_path / "w.npz")
    (tmp_path / "w.onnx").write_bytes(b"PK")
    with pytest.raises(PotvitError, match=r"neither \.safetensors nor \.pth"):
        read_checkpoint(tmp_path / "w.onnx")
    with pytest.raises(PotvitError, match=r"folder without any of model.safetensors"):
        read_checkpoint(tmp_path)
