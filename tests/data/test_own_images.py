"""Images of the user's own: folders, NumPy's files, parquet files, the hub."""

from __future__ import annotations

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pictures import folder_of_classes, noise, png, table
from PIL import Image

from exitprint.data import load_data
from exitprint.data import parts as parts_module
from exitprint.errors import ExitprintError


def everything(data):
    """All images of a data set and their labels."""
    parts = (data.train, data.calibration, data.test)
    return torch.cat([part.pixels[:] for part in parts]), torch.cat([part.labels for part in parts])


def test_a_folder_with_one_folder_a_class(tmp_path):
    data = load_data(str(folder_of_classes(tmp_path / "pets", ("b", "a", "c"))))
    assert (data.name, data.classes, data.input_shape, data.flips) == ("pets", 3, (3, 8, 8), False)
    assert [len(part) for part in (data.train, data.calibration, data.test)] == [37, 5, 18]
    pixels, labels = everything(data)
    first_of_b = torch.from_numpy(np.array(noise(0))).permute(2, 0, 1)
    assert labels[(pixels == first_of_b).flatten(1).all(1)].tolist() == [1]
    again = load_data(str(tmp_path / "pets"))
    assert torch.equal(again.test.pixels, data.test.pixels) and torch.equal(again.train.labels, data.train.labels)


def test_folders_called_as_parts_are_parts(tmp_path):
    folder_of_classes(tmp_path / "train")
    folder_of_classes(tmp_path / "val", each=12)
    data = load_data(str(tmp_path))
    assert (len(data.train) + len(data.calibration), len(data.test)) == (40, 24)
    alone = load_data(str(tmp_path), split="val")
    assert len(alone.train) + len(alone.calibration) + len(alone.test) == 24


def test_a_flat_folder_has_no_labels(tmp_path):
    folder_of_classes(tmp_path, ("one",), each=20)
    data = load_data(str(tmp_path / "one"))
    assert not data.train.labelled and data.classes == 0
    assert (len(data.test), len(data.train) + len(data.calibration)) == (16, 4)
    with pytest.raises(ExitprintError, match=r"no labels.*one folder a class"):
        _ = data.calibration.labels


def test_a_folder_with_a_metadata_file(tmp_path):
    for index in range(20):
        noise(index).save(tmp_path / f"{index}.png")
    rows = "\n".join(f"{index}.png,{'odd' if index % 2 else 'even'}" for index in range(20))
    (tmp_path / "metadata.csv").write_text(f"file_name,label\n{rows}\n")
    data = load_data(str(tmp_path))
    pixels, labels = everything(data)
    fifth = torch.from_numpy(np.array(noise(5))).permute(2, 0, 1)
    assert data.classes == 2 and labels[(pixels == fifth).flatten(1).all(1)].tolist() == [1]


@pytest.mark.parametrize("name", ["img[1].png", "ein Bild ä.png", "a*b?.png"])
def test_any_file_name_will_do(tmp_path, name):
    folder_of_classes(tmp_path, ("a", "b [x]"))
    noise(77).save(tmp_path / "a" / name)
    assert sum(map(len, everything(load_data(str(tmp_path))))) == 2 * 41


def test_hidden_files_and_others_are_passed_over(tmp_path):
    folder_of_classes(tmp_path)
    for name in ("._000.png", "notes.txt", ".DS_Store"):
        (tmp_path / "cat" / name).write_bytes(b"no picture")
    (tmp_path / ".git").mkdir()
    assert load_data(str(tmp_path)).classes == 2


@pytest.mark.parametrize(
    ("keys", "channels"), [(("x", "y"), 3), (("images", "labels"), 1), (("data", "targets"), 3), (("X", "Y"), 1)]
)
def test_an_npz_in_one_part(tmp_path, keys, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (40, channels, 8, 10), np.uint8)
    np.savez(tmp_path / "own.npz", **{keys[0]: pixels, keys[1]: np.arange(40) % 4})
    data = load_data(str(tmp_path / "own.npz"))
    assert data.input_shape == (channels, 8, 10) and data.classes == 4
    got, labels = everything(data)
    assert torch.equal(got[labels == 0].double().mean(), torch.from_numpy(pixels[::4]).double().mean())


@pytest.mark.parametrize("keys", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"])
def test_an_npz_in_parts(tmp_path, keys):
    x, y = np.random.default_rng(0).integers(0, 256, (30, 8, 8), np.uint8), (np.arange(30) % 3)[:, None]
    np.savez_compressed(tmp_path / "own.npz", **dict(zip(keys.split(), (x, y, x[:9], y[:9]), strict=True)))
    data = load_data(str(tmp_path / "own.npz"))
    assert (len(data.train) + len(data.calibration), len(data.test), data.input_shape) == (30, 9, (1, 8, 8))
    assert torch.equal(data.test.pixels[:, 0], torch.from_numpy(x[:9]))


def test_an_npy_holds_images_alone(tmp_path):
    np.save(tmp_path / "own.npy", np.random.default_rng(0).random((20, 8, 8, 3)))
    data = load_data(str(tmp_path / "own.npy"))
    assert not data.test.labelled and data.input_shape == (3, 8, 8) and 90 < data.test.pixels.double().mean() < 160


def test_keys_can_be_given(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
    np.savez(tmp_path / "own.npz", left=x, right=255 - x, kind=np.arange(20) % 2)
    with pytest.raises(ExitprintError, match=r"not clear which array of own\.npz holds images .left, right, kind"):
        load_data(str(tmp_path / "own.npz"))
    data = load_data(str(tmp_path / "own.npz"), image_column="right", label_column="kind")
    assert data.classes == 2 and abs(float(everything(data)[0].double().mean()) - (255 - x).mean()) < 1e-9


def test_one_parquet_file_and_a_pattern(tmp_path):
    table(tmp_path / "a-0.parquet", ["red", "blue"] * 10)
    table(tmp_path / "a-1.parquet", ["blue", "red"] * 10, [png(noise(100 + i)) for i in range(20)])
    one, both = load_data(str(tmp_path / "a-0.parquet")), load_data(str(tmp_path / "a-?.parquet"))
    assert (one.classes, sum(map(len, (one.train, one.calibration, one.test)))) == (2, 20)
    assert sum(map(len, (both.train, both.calibration, both.test))) == 40


def test_columns_can_be_given(tmp_path):
    rows = [{"bytes": png(noise(index)), "path": None} for index in range(20)]
    other = [{"bytes": png(noise(index, mode="L")), "path": None} for index in range(20)]
    numbers = [index % 2 for index in range(20)]
    path = tmp_path / "own.parquet"
    pq.write_table(pa.table({"left": rows, "right": other, "fine": numbers, "coarse": [0] * 20}), path)
    with pytest.raises(ExitprintError, match=r"several columns of images .left, right.*--image-column"):
        load_data(str(path))
    data = load_data(str(path), image_column="right")
    assert not data.train.labelled and data.input_shape == (1, 8, 8)
    assert load_data(str(path), image_column="left", label_column="fine").classes == 2


def test_a_hub_data_set(tmp_path, monkeypatch):
    """Asked for by owner/name:configuration; only the parts that are used are fetched."""
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])})
    rows = {"img": [{"bytes": png(noise(i)), "path": None} for i in range(30)], "label": [i % 3 for i in range(30)]}
    asked = []

    def load_dataset(repository, configuration, split):
        asked.append((repository, configuration, split))
        return datasets.Dataset.from_dict(rows, features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda *_: ["train", "extra", "validation"])
    data = load_data("somebody/pictures:small")
    assert asked == [("somebody/pictures", "small", "train"), ("somebody/pictures", "small", "validation")]
    assert (data.classes, data.name) == (3, "somebody/pictures:small")


def test_a_hub_data_set_with_several_configurations(monkeypatch):
    def several(*_):
        raise ValueError("Config name is missing.\nPlease pick one among the available configs: ['tiny', 'full']")

    monkeypatch.setattr(datasets, "get_dataset_split_names", several)
    with pytest.raises(ExitprintError, match=r"tiny, full.*somebody/pictures:CONFIGURATION"):
        load_data("somebody/pictures")


@pytest.mark.parametrize(
    ("resize", "crop", "shape"),
    [
        ("16", None, (16, 20)),
        ("20x12", None, (12, 20)),
        (None, "6", (6, 6)),
        (16, "16", (16, 16)),
        ("20x12", "8x4", (4, 8)),
    ],
)
def test_images_are_brought_to_the_networks_size(tmp_path, resize, crop, shape):
    for index in range(10):
        noise(index, width=10, height=8).save(tmp_path / f"{index}.png")
    data = load_data(str(tmp_path), resize=resize, crop=crop)
    assert data.input_shape[1:] == shape
    if resize is None:
        assert any(torch.equal(data.test.pixels[0], _crop(noise(index, 10, 8))) for index in range(10))


def _crop(picture):
    return torch.from_numpy(np.array(picture)[1:7, 2:8]).permute(2, 0, 1)


def test_a_named_set_and_arrays_are_resized_too(tmp_path):
    assert load_data("digits", resize="16").input_shape == (1, 16, 16)
    np.save(tmp_path / "own.npy", np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8))
    assert load_data(str(tmp_path / "own.npy"), resize=10, crop="10x6").input_shape == (3, 6, 10)


def test_channels(tmp_path):
    for index in range(10):
        noise(index, mode="L").save(tmp_path / f"{index}.png")
    assert load_data(str(tmp_path)).input_shape[0] == 1
    assert load_data(str(tmp_path), channels=3).input_shape[0] == 3
    noise(99).save(tmp_path / "99.png")
    assert load_data(str(tmp_path)).input_shape[0] == 3
    assert load_data(str(tmp_path), channels=4).test.pixels[:, 3].unique().tolist() == [255]


@pytest.mark.parametrize("kind", ["folder", "npy", "npz", "parquet"])
def test_a_large_set_is_read_as_it_is_needed(tmp_path, monkeypatch, kind):
    """The same images in the same parts as in memory."""
    path = tmp_path / f"own.{kind}"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    if kind == "folder":
        folder_of_classes(path)
    elif kind == "npy":
        np.save(path, pixels)
    elif kind == "npz":
        np.savez(path, x=pixels, y=np.arange(40) % 2)
    else:
        table(path, [0, 1] * 20)
    here = load_data(str(path), limit=20, resize=6)
    for module in ("exitprint.data.parts", "exitprint.data.arrays"):
        monkeypatch.setattr(f"{module}.MOST_IN_MEMORY", 100)
    lazily = load_data(str(path), limit=20, resize=6)
    assert parts_module.MOST_IN_MEMORY == 100
    assert (here.mean, here.std) == (lazily.mean, lazily.std)
    for part in ("train", "calibration", "test"):
        one, other = getattr(here, part), getattr(lazily, part)
        assert not isinstance(other.pixels, torch.Tensor) and other.pixels.shape == one.pixels.shape
        assert torch.equal(one.x, other.x) and torch.equal(one.pixels, torch.stack(list(other.pixels)))
        chosen = torch.tensor([0, -1])
        assert torch.equal(one.pixels[chosen], other.pixels[chosen])
        assert torch.equal(torch.cat(list(other.pixels.to("cpu").split(3))), one.pixels)


def save(tmp_path, name, content):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)


def broken(tmp_path):
    folder_of_classes(tmp_path)
    save(tmp_path, "dog/007.png", (tmp_path / "dog" / "007.png").read_bytes()[:90])


def empty(tmp_path):
    folder_of_classes(tmp_path)
    (tmp_path / "cow").mkdir()


def loose(tmp_path):
    folder_of_classes(tmp_path)
    noise().save(tmp_path / "lost.png")


def of_other_size(tmp_path):
    folder_of_classes(tmp_path)
    noise(width=9).save(tmp_path / "dog" / "007.png")


def unknown_class(tmp_path):
    folder_of_classes(tmp_path / "train")
    folder_of_classes(tmp_path / "test", ("cat", "cow"))


def unlabelled_test(tmp_path):
    folder_of_classes(tmp_path / "train")
    folder_of_classes(tmp_path / "test", ("images",))


def two_parts(tmp_path):
    folder_of_classes(tmp_path / "test")
    folder_of_classes(tmp_path / "val")


def one_image(tmp_path):
    folder_of_classes(tmp_path, ("a", "b"))
    folder_of_classes(tmp_path, ("rare",), each=1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (broken, r"dog/007\.png' cannot be decoded"),
        (empty, "'.*cow' of a class holds no images"),
        (loose, r"lost\.png' lies beside folders of classes, such as 'cat'"),
        (of_other_size, r"dog/007\.png' is 9×8 pixels where 8×8 is expected.*--resize"),
        (unknown_class, "test part of .* has the class 'cow', which the train part has not"),
        (unlabelled_test, "the test part of .* has no labels, and the train part has"),
        (two_parts, "has the parts test, val: say which.*--split"),
        (one_image, "too few"),
        (lambda path: None, "no parquet file|no images"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_folder_that_does_not_fit(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(ExitprintError, match=said) as found:
        load_data(str(tmp_path))
    assert "\n" not in str(found.value)


def test_a_broken_image_is_found_before_long_work_also_in_a_large_set(tmp_path, monkeypatch):
    broken(tmp_path)
    monkeypatch.setattr("exitprint.data.parts.MOST_IN_MEMORY", 100)
    with pytest.raises(ExitprintError, match=r"dog/007\.png' cannot be decoded"):
        load_data(str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, None, 1] * 5, "image 2 has none"),
        ([0.5, 1.0] * 10, "not whole numbers"),
        ([-1, 0] * 10, "label -1"),
        ([[0], [1, 2]] * 10, "neither class numbers nor names"),
        ([0, 1] * 10 + [2], "too few"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, said):
    table(tmp_path / "own.parquet", labels)
    with pytest.raises(ExitprintError, match=said):
        load_data(str(tmp_path / "own.parquet"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resize": "big"}, "--resize is a number of pixels"),
        ({"crop": "3x4x5"}, "--crop is a number of pixels"),
        ({"crop": "9"}, r"is 8×8 pixels, smaller than the crop of 9×9"),
        ({"split": "train,holdout"}, "has train.*'train,holdout' does not"),
        ({"channels": 2}, "1, 3 or 4 channels"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, said):
    with pytest.raises(ExitprintError, match=said):
        load_data(str(folder_of_classes(tmp_path)), **options)


@pytest.mark.parametrize("name", ["./nowhere", "mnist", "/no/such/folder", "a b c"])
def test_what_is_not_there(name):
    with pytest.raises(ExitprintError, match="unknown data set"):
        load_data(name)


def test_what_is_no_data(tmp_path):
    (tmp_path / "own.csv").write_text("1,2")
    with pytest.raises(ExitprintError, match="no folder of images"):
        load_data(str(tmp_path / "own.csv"))
    (tmp_path / "own.npz").write_bytes(b"PK no zip")
    with pytest.raises(ExitprintError, match=r"cannot be read as an \.npz"):
        load_data(str(tmp_path / "own.npz"))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ExitprintError, match="pickled objects"):
        load_data(str(tmp_path / "objects.npy"))
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(ExitprintError, match="too few"):
        load_data(str(tmp_path))
