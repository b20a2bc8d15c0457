"""Models that a user names: timm's, fine-tuned ones, checkpoints with their architecture."""

import argparse
import json

import pytest
import torch
from safetensors.torch import save_file

from golden.catalogue.class_names import class_names
from golden.catalogue.models import model_spec
from golden.commands.model_arguments import add_model_arguments, model_request
from golden.models import load
from golden.models.load import build_module, find_model, load_found
from golden.models.request import short_name
from golden.support.errors import PotvitError

NAME = "vit_tiny_patch16_224"
SMALL = ["--model-kwargs", "depth=1", "embed_dim=48", "num_heads=3"]


@pytest.fixture(autouse=True)
def no_other_weights(monkeypatch):
    monkeypatch.delenv("POTVIT_DATA", raising=False)
    monkeypatch.setattr(load, "fetch_pretrained", lambda name: None)


def asked(*words):
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)
    return model_request(parser.parse_args(list(map(str, words))))


def found(*words):
    return find_model(asked(*words))


def refused(match, *words):
    with pytest.raises(PotvitError, match=match) as caught:
        load_found(found(*words))
    assert "\n" not in str(caught.value)


def state(**changes):
    """Tensors of a one-block network, some of its arguments changed."""
    import timm

    kwargs = {"depth": 1, "embed_dim": 48, "num_heads": 3} | changes
    generator = torch.Generator().manual_seed(1)
    module = timm.create_model(NAME, **kwargs)
    return {n: torch.randn(v.shape, generator=generator) for n, v in module.state_dict().items()}


def test_a_model_of_timm():
    model = found("timm:vit_small_patch16_224")
    spec = model.spec
    assert (spec.name, spec.timm_name) == ("vit_small_patch16_224", "vit_small_patch16_224")
    assert (spec.preprocess.size, spec.preprocess.crop_pct) == (224, 0.9)
    assert spec.preprocess.mean == (0.5, 0.5, 0.5)
    assert spec.num_classes == 1000
    assert class_names(spec)[0].startswith("tench")
    assert model.source == "random seed 0"
    tagged = found("timm:vit_small_patch16_384.augreg_in21k_ft_in1k").spec
    assert (tagged.name, tagged.preprocess.size) == (
        "vit_small_patch16_384.augreg_in21k_ft_in1k", 384,
    )  # fmt: skip
    assert found("timm:vit_tiny_patch16_224.augreg_in21k").spec.num_classes == 21843


def test_names_that_timm_does_not_know():
    refused(r"timm knows no model 'vit_smal_patch16_224': did you mean vit_small_patch16_224",
            "timm:vit_smal_patch16_224")  # fmt: skip
    refused(r"timm knows no weights 'vit_small_patch16_224.mine': it has .*augreg_in1k",
            "timm:vit_small_patch16_224.mine")  # fmt: skip
    refused("timm knows no model ''", "timm:")
    refused(r"unknown model 'deit_tny' \(did you mean deit_tiny\?\)", "deit_tny")


@pytest.mark.parametrize(
    ("name", "kind"), [("resnet18", "ResNet"), ("swinv2_tiny_window8_256", "SwinTransformerV2")]
)
def test_other_networks_of_timm(name, kind):
    refused(f"{name} is timm's {kind}: only its VisionTransformer", f"timm:{name}")


def test_a_fine_tuned_head(tmp_path):
    save_file(state(num_classes=10), tmp_path / "ten.safetensors")
    model = found(f"timm:{NAME}", "--weights", tmp_path / "ten.safetensors", *SMALL)
    assert model.spec.num_classes == 10
    loaded = load_found(model)
    assert loaded.module.head.weight.shape == (10, 48)
    assert loaded.weights_source == "file:ten.safetensors"
    assert class_names(loaded.spec) == [str(i) for i in range(10)]


def test_a_fine_tuned_head_of_a_model_with_a_short_name(tmp_path):
    tensors = build_module(model_spec("deit_tiny")).state_dict()
    tensors = dict(tensors, **{"head.weight": torch.randn(10, 192), "head.bias": torch.randn(10)})
    save_file(tensors, tmp_path / "w.safetensors")
    spec = found("deit_tiny", "--weights", tmp_path / "w.safetensors").spec
    assert (spec.name, spec.num_classes, spec.preprocess.crop_pct) == ("deit_tiny", 10, 0.875)


def test_class_names_from_a_file(tmp_path):
    save_file(state(num_classes=3), tmp_path / "w.safetensors")
    labels = tmp_path / "labels.txt"
    run = [f"timm:{NAME}", "--weights", tmp_path / "w.safetensors", *SMALL, "--classes", labels]
    labels.write_text("\ufeffcat\n dog \nfish, big\n\n", encoding="utf-8")
    assert class_names(found(*run).spec) == ["cat", "dog", "fish, big"]
    labels.write_text("cat\ndog\n")
    refused("labels.txt has 2 lines, the model 3 classes", *run)
    labels.write_text("cat\n\ndog\n")
    refused("labels.txt line 2: a name is missing", *run)
    labels.write_bytes(b"\xff\xfe")
    refused("no readable text", *run)
    labels.unlink()
    refused("do not exist", *run)


@pytest.mark.parametrize("size", [32, 160, 384])
def test_the_picture_size_of_the_file(tmp_path, size):
    tensors = state(img_size=size)
    save_file(tensors, tmp_path / "w.safetensors")
    model = load_found(found(f"timm:{NAME}", "--weights", tmp_path / "w.safetensors", *SMALL))
    assert model.spec.preprocess.size == size
    assert model.module.patch_embed.img_size == (size, size)
    assert torch.equal(model.module.pos_embed, tensors["pos_embed"])


def test_another_picture_size_resamples_and_says_so(tmp_path, capsys):
    tensors = state()
    save_file(tensors, tmp_path / "w.safetensors")
    run = [f"timm:{NAME}", "--weights", tmp_path / "w.safetensors", *SMALL]
    model = load_found(found(*run, "--img-size", 224))
    assert capsys.readouterr().err == ""
    model = load_found(found(*run, "--img-size", 96))
    assert model.module.pos_embed.shape == (1, 37, 48)
    assert torch.equal(model.module.pos_embed[:, 0], tensors["pos_embed"][:, 0])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "position table resampled" in said
    refused("timm cannot build|whole patches|shape", *run, "--img-size", 7)


def test_a_table_of_no_square_grid_is_refused(tmp_path):
    tensors = state()
    tensors["pos_embed"] = torch.zeros(1, 150, 48)
    save_file(tensors, tmp_path / "w.safetensors")
    refused(r"tensor pos_embed has shape \[1, 150, 48\]", f"timm:{NAME}", "--weights",
            tmp_path / "w.safetensors", *SMALL)  # fmt: skip


def test_features(tmp_path, capsys):
    save_file(state(num_classes=0), tmp_path / "none.safetensors")
    save_file(state(), tmp_path / "head.safetensors")
    run = [f"timm:{NAME}", *SMALL, "--weights"]
    model = load_found(found(*run, tmp_path / "none.safetensors"))
    assert (model.spec.num_classes, model.module.global_pool) == (0, "")
    model = load_found(found(*run, tmp_path / "none.safetensors", "--features", "class"))
    assert model.module.global_pool == "token"
    capsys.readouterr()
    model = load_found(found(*run, tmp_path / "head.safetensors", "--features", "all"))
    assert (model.spec.num_classes, model.module.global_pool) == (0, "")
    assert "its classifier is left out (--features)" in capsys.readouterr().err
    refused("has no classifier", *run, tmp_path / "none.safetensors", "--classes", tmp_path / "x")


def test_what_is_said_about_pictures():
    spec = found("deit_tiny", "--crop-pct", "0.9", "--mean", "0.5", "0.5", "0.5", "--std", "0.2",
                 "0.2", "0.2", "--interpolation", "bilinear").spec  # fmt: skip
    p = spec.preprocess
    assert (p.crop_pct, p.mean, p.std, p.interpolation) == (
        0.9, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), "bilinear",
    )  # fmt: skip
    refused("settings do not go together", "deit_tiny", "--mean", "0.5")
    refused("settings do not go together", "deit_tiny", "--crop-pct", "7")
    refused("--img-size must be at least 1", "deit_tiny", "--img-size", "0")
    refused("takes 1 channels, its mean and deviation have 3", "deit_tiny", "--model-kwargs",
            "in_chans=1")  # fmt: skip
    refused("--crop-pct is for timm's models", "vit_digits", "--crop-pct", "0.5")
    refused("--model-kwargs is for timm's models", "vit_digits", "--model-kwargs", "depth=2")
    refused("write it as NAME=VALUE", "deit_tiny", "--model-kwargs", "depth")
    refused("timm cannot build .* with dpth=2", "deit_tiny", "--model-kwargs", "dpth=2")
    refused("timm cannot build .* with num_heads=5", "deit_tiny", "--model-kwargs", "num_heads=5")


def training_checkpoint(path, **args):
    content = {
        "arch": NAME, "state_dict": state(num_classes=4, img_size=64), "epoch": 1,
        "args": argparse.Namespace(
            **{"model": NAME, "num_classes": 4, "img_size": 64, "mean": [0.4, 0.4, 0.4],
               "std": None, "crop_pct": None, "gp": None, "interpolation": "",
               "model_kwargs": {"depth": 1, "embed_dim": 48, "num_heads": 3}} | args
        ),
    }  # fmt: skip
    torch.save(content, path)
    return path


def test_a_checkpoint_that_names_its_architecture(tmp_path, capsys):
    (tmp_path / "flowers").mkdir()
    path = training_checkpoint(tmp_path / "flowers" / "model_best.pth.tar")
    model = load_found(found(path))
    spec = model.spec
    assert (spec.name, spec.num_classes, spec.preprocess.size) == ("flowers", 4, 64)
    assert spec.preprocess.mean == (0.4, 0.4, 0.4)
    assert spec.preprocess.std == (0.5, 0.5, 0.5)
    assert spec.preprocess.interpolation == "bicubic"
    assert len(model.module.blocks) == 1
    assert model.weights_source == "file:model_best.pth.tar[state_dict]"
    assert capsys.readouterr().err.count("\n") == 1


def test_an_export_for_the_hub(tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    save_file(state(num_classes=2), folder / "model.safetensors")
    config = {
        "architecture": NAME, "num_classes": 2, "global_pool": "token",
        "model_args": {"depth": 1, "embed_dim": 48, "num_heads": 3},
        "label_names": ["n1", "n2"], "label_descriptions": {"n1": "one", "n2": "two"},
        "pretrained_cfg": {"input_size": [3, 224, 224], "mean": [0.1, 0.2, 0.3], "std": [1, 1, 1],
                           "crop_pct": 0.95, "interpolation": "bilinear"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    for path in (folder, folder / "model.safetensors"):
        spec = load_found(found(path)).spec
        assert spec.name == "my_model"
        assert (spec.preprocess.crop_pct, spec.preprocess.interpolation) == (0.95, "bilinear")
        assert class_names(spec) == ["one", "two"]


def test_a_checkpoint_that_does_not_name_its_architecture(tmp_path):
    save_file(state(), tmp_path / "w.safetensors")
    refused("does not say its architecture: give --model timm:NAME and --weights",
            tmp_path / "w.safetensors")  # fmt: skip
    refused("does not exist", tmp_path / "x.pth")


def test_original_names_of_layer_scale_are_converted(tmp_path, capsys):
    tensors = state(init_values=0.1)
    renamed = {n.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): v
               for n, v in tensors.items()}  # fmt: skip
    assert set(renamed) != set(tensors)
    torch.save({"model": renamed}, tmp_path / "w.pth")
    run = [f"timm:{NAME}", "--weights", tmp_path / "w.pth", *SMALL, "init_values=0.1"]
    module = load_found(found(*run)).module
    assert torch.equal(module.blocks[0].ls2.gamma, tensors["blocks.0.ls2.gamma"])
    assert "names converted to timm's" in capsys.readouterr().err
    refused(r"tensor blocks.0.gamma_1 is unknown|ls1.gamma is unknown", *run[:-1])


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("deit_tiny", "deit_tiny"),
        ("timm:vit_small_patch16_224", "vit_small_patch16_224"),
        ("runs/a b/flowers.pth.tar", "flowers"),
        ("runs/a b/model_best.pth.tar", "a_b"),
        ("x/pytorch_model.bin.index.json", "x"),
        ("x/model.safetensors", "x"),
    ],
)
def test_names_in_reports(model, name):
    assert short_name(model) == name
