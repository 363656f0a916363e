"""Images of the user's own on the command line: from a folder of PNGs to a verdict, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import user_modules as user

MODULE = f"{user.__file__}:residual"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, digits):
    """Digits as PNGs, one folder a class, and all in one folder."""
    root = tmp_path_factory.mktemp("pictures")
    for number, (image, label) in enumerate(zip(digits.train.pixels, digits.train.labels, strict=True)):
        for folder in (root / "classes" / f"digit {int(label)}", root / "flat"):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(folder / f"{number}.png")
    return root


def train(seed, digits, path):
    """What the user did long ago: a loop of his own over a module with exits of its own."""
    torch.manual_seed(seed)
    module = user.Several()
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(8):
        for batch in torch.randperm(len(digits.train.labels)).split(64):
            answers = module(digits.train.pixels[batch] / 255)
            loss = sum(torch.nn.functional.cross_entropy(answer, digits.train.labels[batch]) for answer in answers)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    torch.save(module.state_dict(), path)


def test_a_folder_from_a_module_to_a_verdict(run, pictures, digits, tmp_path):
    made, network, known = tmp_path / "f.safetensors", tmp_path / "0.safetensors", tmp_path / "1.safetensors"
    for seed, out in enumerate((network, known)):
        train(seed, digits, tmp_path / "own.pt")
        words = ("--weights", tmp_path / "own.pt", "--data", pictures / "classes", "--threshold", 0.9, "--out", out)
        done = run("wrap", f"{user.__file__}:Several", *words)
        assert done.code == 0 and "3 exits of its own" in done.out, done.err
        assert float(done.out.split("early exits, ")[1].split(" without")[0]) > 0.85
    words = ("--data", pictures / "flat", "--samples", 80, "--margin", 0.05, "--leave", 0.5, "--reference", known)
    done = run("fingerprint", network, "--quick", *words, "--out", made)
    assert done.code == 0, done.err
    done = run("verify", made, network, "--clock", "cost-model", "--reference", known)
    assert done.code == 0 and done.out.startswith("derived"), done.out + done.err


def test_a_module_that_is_right_by_chance_only_is_told_of(run, pictures, tmp_path):
    done = run("wrap", MODULE, "--exits", 2, "--data", pictures / "classes", "--out", tmp_path / "own.safetensors")
    assert "hardly more than by chance" in done.out and "--mean and --std" in done.out


@pytest.mark.parametrize("verb", ["train", "wrap", "tamper", "steal"])
def test_labels_are_asked_for_where_they_are_needed(run, pictures, target_file, tmp_path, verb):
    words = {"wrap": (MODULE,), "tamper": (target_file, "retrain-exits"), "steal": (target_file,)}.get(verb, ())
    out = tmp_path / "out.safetensors"
    done = run(verb, *words, "--data", pictures / "flat", "--out", out)
    assert done.code == 2 and "no labels" in done.err and "one folder a class" in done.err
    assert done.err.count("\n") == 1 and not out.exists()


def test_a_fingerprint_by_thresholds_needs_no_labels_and_by_accuracy_does(run, pictures, target_file, tmp_path):
    words = ("fingerprint", target_file, "--kind", "paper", "--samples", 10, "--data", pictures / "flat")
    done = run(*words, "--rad", 5, "--out", tmp_path / "f.safetensors")
    assert done.code == 2 and "no labels" in done.err
    done = run(*words, "--threshold", 0.95, "--out", tmp_path / "f.safetensors")
    assert done.code == 0 and "Strength was not measured" in done.out, done.err


@pytest.mark.parametrize("verb", ["train", "wrap", "fingerprint", "tamper", "probe"])
def test_a_broken_image_is_named(run, pictures, target_file, tmp_path, verb):
    for number in range(40):
        folder = tmp_path / "broken" / f"digit {number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "broken" / "digit 7" / "7.png").write_bytes(b"\x89PNG no more")
    words = {
        "wrap": (MODULE,),
        "tamper": (target_file, "prune"),
        "probe": (target_file,),
        "fingerprint": (target_file,),
    }
    out = tmp_path / "out.safetensors"
    done = run(verb, *words.get(verb, ()), "--data", tmp_path / "broken", *(() if verb == "probe" else ("--out", out)))
    assert done.code == 2 and "digit 7/7.png' cannot be decoded" in done.err
    assert done.err.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize("verb", ["wrap", "fingerprint", "tamper"])
def test_other_classes_than_the_networks_are_refused(run, digits, target_file, tmp_path, verb):
    np.savez(tmp_path / "own.npz", x=digits.test.pixels[:, 0].numpy(), y=digits.test.labels.numpy() % 3)
    words = {"wrap": (MODULE,), "tamper": (target_file, "prune"), "fingerprint": (target_file,)}[verb]
    done = run(verb, *words, "--data", tmp_path / "own.npz", "--out", tmp_path / "out.safetensors")
    assert done.code == 2 and "tells 10 classes and own.npz has 3" in done.err


def test_options_of_images_reach_every_verb(run, target_file, tmp_path, pictures):
    for words in (("train",), ("wrap", MODULE), ("fingerprint", target_file), ("tamper", target_file, "prune")):
        done = run(*words, "--data", pictures / "classes", "--resize", "big", "--out", tmp_path / "out.safetensors")
        assert done.code == 2 and "--resize is a number of pixels" in done.err
