"""Data is read as it is meant, or refused with one sentence: never wrongly without a word."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageCms

from exitprint.data import ImageData, Images, image_data, load_data
from exitprint.errors import ExitprintError

GREYS = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
COLOURS = np.stack([GREYS, 255 - GREYS, GREYS.T], 2)


def sixteen_bits(kind):
    return Image.fromarray(GREYS.astype(np.uint16) * 257), kind


def palette():
    return Image.fromarray(COLOURS).quantize(64).convert("RGB").quantize(64)


def transparent(value):
    return Image.fromarray(np.dstack([COLOURS, np.full((8, 8), value, np.uint8)]), "RGBA")


def turned():
    """A picture on its side, as telephones store it, with the orientation that puts it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return Image.fromarray(np.rot90(COLOURS).copy()), "PNG", {"exif": exif}


READ = {
    "8-bit grey": ((Image.fromarray(GREYS), "PNG"), GREYS, 0),
    "16-bit grey PNG": (sixteen_bits("PNG"), GREYS, 0),
    "16-bit grey TIFF": (sixteen_bits("TIFF"), GREYS, 0),
    "16-bit PGM": (sixteen_bits("PPM"), GREYS, 0),
    "one bit": ((Image.fromarray(GREYS > 99), "PNG"), np.where(GREYS > 99, 255, 0), 0),
    "palette": ((palette(), "PNG"), np.asarray(palette().convert("RGB")), 0),
    "GIF": ((palette(), "GIF"), np.asarray(palette().convert("RGB")), 0),
    "CMYK": ((Image.fromarray(COLOURS).convert("CMYK"), "TIFF"), COLOURS, 1),
    "opaque alpha": ((transparent(255), "PNG"), COLOURS, 0),
    "clear alpha": ((transparent(0), "PNG"), np.full_like(COLOURS, 255), 0),
    "half alpha": ((transparent(128), "PNG"), (COLOURS.astype(int) + 255) // 2, 1),
    "EXIF orientation": (turned(), COLOURS, 0),
}


def write(picture, path):
    image, kind, *more = picture
    image.save(path, kind, **(more[0] if more else {}))


@pytest.mark.parametrize("name", READ)
def test_a_picture_is_what_it_shows(tmp_path, name):
    picture, shown, tolerance = READ[name]
    for number in range(10):
        write(picture, tmp_path / f"{number}.{picture[1].lower()}".replace("jpeg", "jpg"))
    pixels = load_data(str(tmp_path)).test.pixels[0].permute(1, 2, 0).squeeze(-1).numpy()
    assert pixels.shape == shown.shape and np.abs(pixels.astype(int) - shown).max() <= tolerance


def lab():
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return ImageCms.applyTransform(Image.fromarray(COLOURS), to_lab)


REFUSED = {
    "float": (Image.fromarray(GREYS.astype(np.float32) / 255), "mode F, whose range is not known"),
    "32 bits": (Image.fromarray(GREYS.astype(np.int32) * 70000), "32 bits, whose range is not known"),
    "Lab": (lab(), "mode LAB"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_picture_that_could_be_anything_is_refused_by_name(tmp_path, name):
    picture, said = REFUSED[name]
    for number in range(9):
        Image.fromarray(GREYS).save(tmp_path / f"{number}.png")
    picture.save(tmp_path / "strange.tiff")
    with pytest.raises(ExitprintError, match=rf"strange\.tiff' has pixels of .*{said}"):
        load_data(str(tmp_path))


def png(value):
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(content, "PNG")
    return {"bytes": content.getvalue(), "path": None}


def hub_layout(root, names):
    """Files of ten images each, under these names."""
    for number, name in enumerate(names):
        path = root / "own" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [png(10 * number + index) for index in range(10)]
        pq.write_table(pa.table({"image": rows, "label": [0, 1] * 5}), path)
    return str(root / "own")


TEST = "test-00000-of-00001"
WHOLE = {
    "one file a part": (["train", "test"], 10),
    "shards": (["data/train-00000-of-00002", "data/train-00001-of-00002", f"data/{TEST}"], 20),
    "shards with hashes": (["data/train-00000-of-00001-abc123", "data/test-00000-of-00001-def456"], 10),
    "a configuration": (["plain_text/train-00000-of-00001", f"plain_text/{TEST}"], 10),
    "the hub's converted layout": (["default/train/0000", "default/train/0001", "default/test/0000"], 20),
    "converted, at the top": (["train/0000", "test/0000"], 10),
    "named after the set": (["own-train", "own-test"], 10),
}


@pytest.mark.parametrize("name", WHOLE)
def test_every_layout_of_the_hub_is_read_once(tmp_path, name):
    files, training = WHOLE[name]
    data = load_data(hub_layout(tmp_path, files))
    assert (len(data.train) + len(data.calibration), len(data.test)) == (training, 10)
    values = torch.cat([data.train.pixels[:, 0, 0, 0], data.calibration.pixels[:, 0, 0, 0]])
    assert len(values.unique()) == training


BROKEN = {
    "a shard is missing": (["train-00000-of-00003", "train-00002-of-00003", TEST], "number 1 is missing"),
    "the first shard is missing": (["train-00001-of-00002", TEST], "number 0 is missing"),
    "a converted shard is missing": (["train/0000", "train/0002", "test/0000"], "number 1 is missing"),
    "two uploads": (["train-00000-of-00001-aaaa", "train-00000-of-00001-bbbb", TEST], "read twice"),
    "two shardings": (["train-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002", TEST], "read twice"),
    "whole and in shards": (["train", "train-00000-of-00001", "test"], "read twice"),
    "two configurations": (["a/train", "a/test", "b/train", "b/test"], "read twice"),
    "two converted configurations": (["a/train/0000", "b/train/0000", "a/test/0000"], "read twice"),
    "parts of two configurations": (["a/train", "b/test"], "point at one of these folders"),
    "a conversion of the beginning": (["partial-train/0000", "test/0000"], "only the beginning"),
    "a shard too many": (["train-00000-of-00001", "train-00001-of-00001", TEST], "one too many"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_rows_are_neither_doubled_nor_missing(tmp_path, name):
    files, said = BROKEN[name]
    with pytest.raises(ExitprintError, match=said):
        load_data(hub_layout(tmp_path, files))


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "parts of two configurations"])
def test_nor_where_the_set_is_known_by_name(tmp_path, name):
    hub_layout(tmp_path, BROKEN[name][0])
    (tmp_path / "own").rename(tmp_path / "cifar10")
    with pytest.raises(ExitprintError, match=BROKEN[name][1]):
        load_data("cifar10", tmp_path)


X = np.random.default_rng(0).integers(2, 256, (6, 3, 8, 8))
AS_IMAGES = {
    "8 bits": (X.astype(np.uint8), 0),
    "a tensor": (torch.from_numpy(X.astype(np.uint8)), 0),
    "32 bits": (X.astype(np.int32), 0),
    "big-endian": (X.astype(">i2"), 0),
    "unsigned 32 bits": (X.astype(np.uint32), 0),
    "16-bit pixels": (X.astype(np.uint16) * 257, 0),
    "fractions": (X / 255, 0),
    "single precision": ((X / 255).astype(np.float32), 0),
    "half precision": ((X / 255).astype(np.float16), 1),
    "nested lists": ((X / 255).tolist(), 0),
}


@pytest.mark.parametrize("name", AS_IMAGES)
def test_images_of_any_number_format(name):
    pixels, tolerance = AS_IMAGES[name]
    made = Images(pixels, np.arange(6, dtype=np.int32))
    assert made.pixels.dtype == torch.uint8 and made.labels.dtype == torch.int64
    assert int((made.pixels.long() - torch.from_numpy(X)).abs().max()) <= tolerance
    assert float(made.x.max()) <= 1 and float(made.x.double().mean()) == pytest.approx(X.mean() / 255, abs=2e-3)


NO_IMAGES = {
    "fractions beyond 1": (X / 200, "float64 from .* to 1.*: scale them"),
    "normalised": ((X - 127) / 64, "from -1.* scale them"),
    "0 to 255 as fractions": (X.astype(np.float32), "float32 from .* scale them"),
    "not a number": (np.full((2, 1, 8, 8), np.nan), "not finite"),
    "8 bits called 16": (X.astype(np.uint16), "uint16 and none is above"),
    "beyond 8 bits": (X * 4, "int64 from .* scale them"),
    "truth values": (X > 99, "not bool"),
    "complex": (X * 1j, "not complex128"),
    "no channels": (X[:, 0] / 255, r"shape \(images, channels, height, width\), and not \(6, 8, 8\)"),
    "ragged": ([[1], [2, 3]], "all of one shape"),
    "text": (["a", "b"], "images are numbers"),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_are_no_images_is_refused_when_they_are_made(name):
    pixels, said = NO_IMAGES[name]
    with pytest.raises(ExitprintError, match=said):
        Images(pixels, [0] * 6)


NO_LABELS = {
    "too few": ([0, 1], "6 images and 2 labels"),
    "fractions": ([0.5] * 6, "class numbers"),
    "negative": ([-1, 0, 1, 2, 3, 4], "class numbers"),
    "not a number": ([np.nan] * 6, "class numbers"),
    "two columns": (np.zeros((6, 2)), "one number for each"),
    "text": (list("abcdef"), "labels are numbers"),
}


@pytest.mark.parametrize("name", NO_LABELS)
def test_what_are_no_labels_is_refused_when_images_are_made(name):
    labels, said = NO_LABELS[name]
    with pytest.raises(ExitprintError, match=said):
        Images(X / 255, labels)


@pytest.mark.parametrize("labels", [np.arange(1, 41) % 4 + 1, [4] * 40])
def test_labels_from_1_are_refused_where_the_number_of_classes_is_known(labels):
    pixels = np.random.default_rng(0).random((40, 1, 8, 8))
    with pytest.raises(ExitprintError, match="classes are numbered from 0 to 3: number them so"):
        image_data("own", Images(pixels, labels), Images(pixels, labels), classes=4, flips=False)


def test_labels_from_1_are_counted_from_0_where_it_is_not(tmp_path):
    rows = [png(index) for index in range(40)]
    pq.write_table(pa.table({"image": rows, "label": [1 + index % 4 for index in range(40)]}), tmp_path / "own.parquet")
    data = load_data(str(tmp_path / "own.parquet"))
    assert data.classes == 4 and sorted(data.test.labels.unique().tolist()) == [0, 1, 2, 3]


def test_parts_of_another_size_are_refused():
    small, large = (Images(np.zeros((4, 1, side, side)), [0] * 4) for side in (8, 9))
    with pytest.raises(ExitprintError, match=r"the test images of own have the shape .1, 9, 9."):
        ImageData("own", small, small, large, 1, (0.5,), (0.5,), False)


ARRAYS = {
    "black for it lost its fractions": (np.random.default_rng(0).random((20, 8, 8)).astype(np.uint8), "all black"),
    "normalised": (np.random.default_rng(0).normal(size=(20, 3, 8, 8)), "scale them"),
    "not images": (np.zeros((20, 64)), "array of shape .20, 64."),
    "channels on either side": (np.zeros((20, 3, 8, 3)), "array of shape"),
    "not finite": (np.full((20, 8, 8), np.inf), "not finite"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_could_be_anything_is_refused(tmp_path, name):
    values, said = ARRAYS[name]
    np.save(tmp_path / "own.npy", values)
    with pytest.raises(ExitprintError, match=said):
        load_data(str(tmp_path / "own.npy"))
