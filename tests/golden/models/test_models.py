import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from golden.catalogue.class_names import class_names
from golden.catalogue.models import MODELS, model_spec
from golden.data.pictures import sample_photos
from golden.models import load as models
from golden.models import pretrained
from golden.models.load import build_module, load_model
from golden.support.errors import PotvitError


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.delenv("POTVIT_DATA", raising=False)


@pytest.fixture
def digits_state():
    return {k: v.clone() for k, v in load_model("vit_digits").module.state_dict().items()}


def save(state, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def test_timm_imports_in_a_fresh_process():
    code = (
        "from golden.catalogue.torchvision_shim import ensure_torchvision as e\n"
        "e(); e(); import timm"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_models_are_known_with_their_preprocessing():
    assert list(MODELS) == [
        "deit_tiny", "deit_small", "deit_base", "vit_base", "vit_large",
        "swin_tiny", "swin_small", "swin_base", "vit_digits", "swin_digits",
    ]  # fmt: skip
    assert MODELS["deit_tiny"].preprocess.resize == 256
    assert MODELS["vit_base"].preprocess.resize == 248
    assert MODELS["vit_base"].preprocess.mean == (0.5, 0.5, 0.5)
    assert MODELS["vit_digits"].preprocess.channels == 1


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(PotvitError, match=r"unknown model 'swin'.*deit_tiny.*vit_digits"):
        model_spec("swin")


def test_digits_shape_suits_the_accelerator():
    module = build_module(MODELS["vit_digits"])
    assert module.pos_embed.shape == (1, 17, 48)
    assert module.blocks[0].attn.head_dim == 16


def test_bundled_weights(no_data):
    model = load_model("vit_digits")
    assert model.weights_source == "bundled"
    assert model.weights_sha256 == models.file_sha256(models.bundled_weights("vit_digits"))
    assert not model.module.training


def test_data_folder_weights(real_data, monkeypatch):
    monkeypatch.setenv("POTVIT_DATA", str(real_data))
    model = load_model("deit_tiny")
    assert model.weights_source == "data"
    assert model.module.head.weight.abs().max() > 0


def test_data_folder_must_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("POTVIT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(PotvitError, match=r"POTVIT_DATA=.*nowhere is no folder"):
        load_model("deit_tiny")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_weights_from_a_file(digits_state, tmp_path, name):
    digits_state["head.bias"] += 1
    model = load_model("vit_digits", save(digits_state, tmp_path / name))
    assert model.weights_source == f"file:{name}"
    assert torch.equal(model.module.head.bias, digits_state["head.bias"])


def test_checkpoint_wrappers_are_unwrapped(digits_state, tmp_path):
    wrapped = {"model": {f"module.{k}": v for k, v in digits_state.items()}, "epoch": 3}
    model = load_model("vit_digits", save(wrapped, tmp_path / "w.pth"))
    assert torch.equal(model.module.head.weight, digits_state["head.weight"])


def damaged(state, how):
    if how == "shape":
        state["head.weight"] = state["head.weight"][:, :-1].contiguous()
    elif how == "nan":
        state["norm.bias"][3] = float("nan")
    elif how == "inf":
        state["norm.bias"][3] = float("inf")
    elif how == "missing":
        del state["pos_embed"]
    elif how == "extra":
        state["head_dist.bias"] = torch.zeros(10)
    return state


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shape", r"tensor head.weight has shape \[10, 47\], the model needs \[10, 48\]"),
        ("nan", "tensor norm.bias holds NaN or infinity"),
        ("inf", "tensor norm.bias holds NaN or infinity"),
        ("missing", "tensor pos_embed is missing"),
        ("extra", "tensor head_dist.bias is unknown"),
    ],
)
def test_ill_fitting_weights_are_named(digits_state, tmp_path, how, message):
    path = save(damaged(digits_state, how), tmp_path / "w.safetensors")
    with pytest.raises(PotvitError, match=message):
        load_model("vit_digits", path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.txt"])
def test_unreadable_weights(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(PotvitError, match="does not exist"):
        load_model("vit_digits", path)
    path.write_bytes(b"this is no weights file")
    with pytest.raises(PotvitError, match=name):
        load_model("vit_digits", path)


def test_truncated_weights(digits_state, tmp_path):
    path = save(digits_state, tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PotvitError, match="damaged"):
        load_model("vit_digits", path)


def test_objects_are_no_weights(tmp_path):
    path = save({"a": Path("x")}, tmp_path / "w.pth")
    with pytest.raises(PotvitError, match="holds no dictionary of tensors"):
        load_model("vit_digits", path)


def test_random_weights_are_announced_seeded_and_peaked(no_data, monkeypatch, capsys):
    monkeypatch.setattr(models, "fetch_pretrained", lambda name: None)
    first = load_model("deit_tiny")
    assert first.weights_source == "random seed 0"
    announced = capsys.readouterr().err.splitlines()
    assert len(announced) == 1
    assert "random seed 0" in announced[0]
    second = load_model("deit_tiny", quiet=True)
    assert capsys.readouterr().err == ""
    assert second.weights_sha256 == first.weights_sha256

    module, preprocess = first.module, first.spec.preprocess
    images = preprocess.normalize(np.stack([s.pixels(preprocess) for s in sample_photos()]))
    spans, sizes = [], []

    def watch(block, inputs):
        normed = block.norm1(inputs[0])
        batch, length, _ = normed.shape
        qkv = block.attn.qkv(normed).reshape(batch, length, 3, 3, 64).permute(2, 0, 3, 1, 4)
        logits = qkv[0] @ qkv[1].transpose(-1, -2) / 8 * np.log2(np.e)
        spans.append((logits.amax(-1) - logits.amin(-1)).median().item())
        sizes.append(inputs[0].square().mean().sqrt().item())

    for block in module.blocks:
        block.register_forward_pre_hook(watch)
    logits = module(images)
    assert len(spans) == 12
    assert min(spans) >= 16
    assert max(spans) < 32
    assert min(sizes) > 0.5
    assert max(sizes) < 10
    assert logits.std() > 1
    assert (logits[0] - logits[1]).std() > 1


def test_download_gives_up_in_time_without_a_network(monkeypatch):
    import huggingface_hub

    def hang(*args, **kwargs):
        time.sleep(30)
        raise OSError

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: None)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(pretrained, "PROBE_SECONDS", 1.0)
    start = time.monotonic()
    assert pretrained.fetch_pretrained("deit_tiny_patch16_224") is None
    assert 0.9 < time.monotonic() - start < 5


def test_cached_download_needs_no_network(monkeypatch, tmp_path):
    import huggingface_hub

    cached = tmp_path / "model.safetensors"
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: str(cached))
    assert pretrained.fetch_pretrained("deit_tiny_patch16_224") == cached


def test_class_names():
    names = class_names(MODELS["deit_tiny"])
    assert len(names) == 1000
    assert "goldfish" in names[1]
    assert class_names(MODELS["vit_digits"]) == list("0123456789")
