"""Data sets by name, from files of the hub's layout that the tests make."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from exitprint.data import load_data
from exitprint.errors import ExitprintError

LAYOUTS = {
    "cifar10": ("img", "label", "test", 32, "RGB", 10),
    "cifar100": ("img", "fine_label", "test", 32, "RGB", 100),
    "tiny-imagenet": ("image", "label", "valid", 64, "RGB", 200),
    "fashion-mnist": ("image", "label", "test", 28, "L", 10),
}


@cache
def encoded(side, mode, value):
    pixels = np.full((side, side, 3) if mode == "RGB" else (side, side), value, np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels, mode).save(content, "PNG")
    return {"bytes": content.getvalue(), "path": f"{value}.png"}


def write(folder, name, part, n, modes=None, **more):
    image, label, _, side, mode, classes = LAYOUTS[name]
    rows = [encoded(side, modes[i % len(modes)] if modes else mode, i % 256) for i in range(n)]
    columns = {image: rows, label: [i % classes for i in range(n)], **more}
    (folder / name).mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / name / f"{part}.parquet")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_in_the_hubs_layout(tmp_path, name):
    _, _, test_part, side, mode, classes = LAYOUTS[name]
    n = 10 * classes
    write(tmp_path, name, "train", n, **({"coarse_label": [0] * n} if name == "cifar100" else {}))
    write(tmp_path, name, test_part, classes)
    data = load_data(name, tmp_path)
    channels = 3 if mode == "RGB" else 1
    assert data.input_shape == (channels, side, side) and data.classes == classes
    assert data.train.pixels.dtype == torch.uint8 and len(data.test) == classes
    assert len(data.train) + len(data.calibration) == n
    assert int(data.test.pixels[7].float().mean()) == 7 and int(data.test.labels[7]) == 7
    assert data.flips


def test_greyscale_images_become_rgb(tmp_path):
    write(tmp_path, "tiny-imagenet", "train", 2000, modes=["RGB", "L"])
    write(tmp_path, "tiny-imagenet", "valid", 200, modes=["L"])
    data = load_data("tiny-imagenet", tmp_path)
    assert data.test.pixels.shape == (200, 3, 64, 64)
    assert torch.equal(data.test.pixels[5, 0], data.test.pixels[5, 2])


def test_limit_is_a_seeded_stratified_choice(tmp_path):
    write(tmp_path, "cifar10", "train", 400)
    write(tmp_path, "cifar10", "test", 100)
    one, two, other = (load_data("cifar10", tmp_path, limit=200, seed=seed) for seed in (0, 0, 1))
    assert len(one.train) + len(one.calibration) == 200
    assert torch.equal(one.train.pixels, two.train.pixels) and not torch.equal(one.train.pixels, other.train.pixels)
    assert torch.cat([one.train.labels, one.calibration.labels]).bincount().tolist() == [20] * 10


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    write(tmp_path, "fashion-mnist", "train", 200)
    write(tmp_path, "fashion-mnist", "test", 20)
    monkeypatch.setenv("EXITPRINT_DATA_DIR", str(tmp_path))
    assert len(load_data("fashion-mnist").test) == 20


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(ExitprintError, match="unknown data set"):
        load_data("mnist")
    with pytest.raises(ExitprintError, match=r"train\*\.parquet"):
        load_data("cifar10", tmp_path)
    with pytest.raises(ExitprintError, match="positive"):
        load_data("digits", limit=0)
    write(tmp_path, "cifar10", "train", 200)
    (tmp_path / "cifar10" / "test.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ExitprintError, match="cannot be read as parquet"):
        load_data("cifar10", tmp_path)
    pq.write_table(pa.table({"img": [encoded(32, "RGB", 1)], "label": [10]}), tmp_path / "cifar10" / "test.parquet")
    with pytest.raises(ExitprintError, match="has the label 10 and names 10 classes"):
        load_data("cifar10", tmp_path)
    pq.write_table(pa.table({"img": [encoded(30, "RGB", 1)], "label": [1]}), tmp_path / "cifar10" / "test.parquet")
    with pytest.raises(ExitprintError, match="30×30"):
        load_data("cifar10", tmp_path)


@pytest.mark.parametrize("kept", ["img", "label"])
def test_a_missing_column_is_named(tmp_path, kept):
    write(tmp_path, "cifar10", "train", 20)
    write(tmp_path, "cifar10", "test", 20)
    path = tmp_path / "cifar10" / "train.parquet"
    missing = {"img": "label", "label": "img"}[kept]
    pq.write_table(pq.read_table(path).select([kept]), path)
    with pytest.raises(ExitprintError, match=f"no column '{missing}' .it has {kept}."):
        load_data("cifar10", tmp_path)


def test_a_file_cut_short_is_refused(tmp_path):
    write(tmp_path, "cifar10", "train", 200)
    write(tmp_path, "cifar10", "test", 20)
    path = tmp_path / "cifar10" / "train.parquet"
    whole = path.read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:length])
        with pytest.raises(ExitprintError, match="cannot be read as parquet"):
            load_data("cifar10", tmp_path)


@pytest.mark.parametrize("image", [None, {"bytes": b"no image at all", "path": None}, {"bytes": b"", "path": None}])
def test_an_image_that_cannot_be_decoded_is_counted_off(tmp_path, image):
    write(tmp_path, "cifar10", "train", 40)
    rows = [encoded(32, "RGB", 1), image, encoded(32, "RGB", 2)]
    pq.write_table(pa.table({"img": rows, "label": [0, 1, 2]}), tmp_path / "cifar10" / "test.parquet")
    with pytest.raises(ExitprintError, match="image 1 of the test part of cifar10 cannot be decoded"):
        load_data("cifar10", tmp_path)


@pytest.mark.parametrize("labels", [["a", "b"], [0.5, 1.5], [1, None]])
def test_labels_must_be_class_numbers(tmp_path, labels):
    rows = [encoded(32, "RGB", 1), encoded(32, "RGB", 2)]
    write(tmp_path, "cifar10", "test", 20)
    pq.write_table(pa.table({"img": rows, "label": labels}), tmp_path / "cifar10" / "train.parquet")
    with pytest.raises(ExitprintError, match="class numbers"):
        load_data("cifar10", tmp_path)


def test_images_must_be_images(tmp_path):
    write(tmp_path, "cifar10", "test", 20)
    pq.write_table(pa.table({"img": [1, 2], "label": [0, 1]}), tmp_path / "cifar10" / "train.parquet")
    with pytest.raises(ExitprintError, match="'img' of the train part of cifar10 holds no images"):
        load_data("cifar10", tmp_path)


def test_no_network_is_said(monkeypatch):
    import datasets

    def unreachable(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(ExitprintError, match="--data-dir"):
        load_data("cifar100")


def test_digits_is_embedded_and_split_disjointly():
    data = load_data("digits")
    assert (len(data.train), len(data.calibration), len(data.test)) == (1167, 130, 500)
    assert data.input_shape == (1, 8, 8) and not data.flips
    again = load_data("digits")
    assert torch.equal(data.calibration.pixels, again.calibration.pixels)
    other = load_data("digits", seed=1)
    assert torch.equal(data.test.pixels, other.test.pixels)
    assert not torch.equal(data.calibration.pixels, other.calibration.pixels)
