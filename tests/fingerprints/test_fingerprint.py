"""The fingerprint's file: what goes in comes out, and what others put in is not believed."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from exitprint.errors import ExitprintError
from exitprint.fingerprints import Fingerprint, Reference, load_fingerprint, save_fingerprint
from exitprint.fingerprints.fingerprint import TENSORS


def fingerprint(n: int = 4, seed: int = 0, **fields: object) -> Fingerprint:
    g = torch.Generator().manual_seed(seed)
    originals = torch.randint(0, 256, (n, 3, 8, 8), generator=g)
    noise = torch.randint(-9, 10, originals.shape, generator=g)
    contrast = fields.get("kind") == "contrast"
    parts = {
        "kind": "paper",
        "samples": (originals + noise).clamp(0, 255).to(torch.uint8),
        "originals": originals.to(torch.uint8),
        "late": torch.arange(n) < (n - n // 2 if contrast else n),
        "reached": torch.rand(n, generator=g) < 0.5,
        "steps": torch.arange(n),
        "chosen": torch.arange(n),
        "pool": 5 * n,
        "answers": torch.arange(n) % 10,
    }
    return Fingerprint(**{**parts, **fields})


REFERENCE = Reference("résnet", (0.1, 0.25), "same")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    n=st.integers(2, 9),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["paper", "contrast"]),
    references=st.sampled_from([(), (REFERENCE,), (REFERENCE, Reference("b", (1.0,), "other"))]),
    record=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4),
)
def test_round_trip(tmp_path, n, seed, kind, references, record):
    made = fingerprint(n, seed, kind=kind, references=references, record=record)
    save_fingerprint(made, tmp_path / "f.safetensors")
    back = load_fingerprint(tmp_path / "f.safetensors")
    for part in TENSORS:
        assert torch.equal(getattr(back, part), getattr(made, part))
    assert (back.kind, back.pool, back.references, back.record) == (kind, 5 * n, references, record)
    first = (tmp_path / "f.safetensors").read_bytes()
    save_fingerprint(back, tmp_path / "f.safetensors")
    assert (tmp_path / "f.safetensors").read_bytes() == first


def forged(path, **changed):
    """A file of a sound contrast fingerprint with some parts replaced, written past our own checks."""
    made = fingerprint(6, kind="contrast")
    header = {
        "kind": "fingerprint",
        "fingerprint": changed.pop("kind", "contrast"),
        "value_range": [0.0, 1.0],
        "pool": changed.pop("pool", 30),
        "references": changed.pop("references", []),
        "record": {},
    }
    tensors = {part: getattr(made, part) for part in TENSORS} | changed
    save_file(
        {name: part.contiguous() for name, part in tensors.items()}, path, metadata={"exitprint": json.dumps(header)}
    )


SOUND = fingerprint(6, kind="contrast")
FORGERIES = {
    "nothing changed": ({"samples": SOUND.originals.clone(), "late": ~SOUND.late}, "not changed at all"),
    "one sample not changed": (
        {"samples": torch.cat([SOUND.originals[:1], SOUND.samples[1:]])},
        "not changed at all",
    ),
    "halves swapped by exchanging images": ({"samples": SOUND.originals.flip(0)}, "not changed at all"),
    "a sample twice": ({"samples": SOUND.samples[[0, 0, 2, 3, 4, 5]]}, "occurs twice"),
    "an original twice": ({"originals": SOUND.originals[[0, 1, 2, 3, 4, 4]]}, "occurs twice"),
    "other images": ({"samples": 255 - SOUND.originals}, "any network would follow"),
    "the other half": ({"late": torch.zeros(6, dtype=torch.bool)}, "one half only"),
    "no channels": ({"samples": SOUND.samples[:, 0], "originals": SOUND.originals[:, 0]}, "one shape"),
    "one half": ({"late": torch.ones(6, dtype=torch.bool)}, "one half only"),
    "early samples of the paper's kind": ({"kind": "paper"}, "are late"),
    "a pool smaller than the choice": ({"pool": 5}, "fewer than there are"),
    "chosen outside the pool": ({"chosen": torch.arange(25, 31)}, "fewer than there are"),
    "floats": ({"samples": SOUND.samples.float()}, "8-bit"),
    "another shape": ({"samples": SOUND.samples[:, :, :4]}, "one shape"),
    "no image": ({"samples": SOUND.samples[:0], "originals": SOUND.originals[:0]}, "one shape"),
    "labels below zero": ({"answers": torch.full((6,), -1)}, "below zero"),
    "a pool that is no number": ({"pool": "many"}, "incomplete"),
    "a share above one": ({"references": [{"name": "a", "share": [1.5], "recipe": "same"}]}, "from 0 to 1"),
    "a share that is no number": ({"references": [{"name": "a", "share": [float("nan")], "recipe": "same"}]}, "0 to 1"),
    "an endless name": ({"references": [{"name": "a" * 10**6, "share": [0.5], "recipe": "same"}]}, "200 characters"),
    "a reference without a recipe": ({"references": [{"name": "a", "share": [0.5]}]}, "incomplete"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_what_can_be_computed_is_not_believed(tmp_path, what):
    changed, why = FORGERIES[what]
    forged(tmp_path / "f.safetensors", **changed)
    with pytest.raises(ExitprintError, match=why):
        load_fingerprint(tmp_path / "f.safetensors")


def test_the_sound_one_is_believed(tmp_path):
    forged(tmp_path / "f.safetensors")
    assert len(load_fingerprint(tmp_path / "f.safetensors")) == 6


def test_what_could_not_be_loaded_is_not_written(tmp_path):
    with pytest.raises(ExitprintError, match="occurs twice"):
        save_fingerprint(fingerprint(chosen=torch.zeros(4, dtype=torch.long)), tmp_path / "f.safetensors")
    assert not list(tmp_path.iterdir())


def test_l2_is_in_units_of_the_pixel_range():
    black = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    white = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    one = torch.ones(1, dtype=torch.bool)
    zero = torch.zeros(1).long()
    made = Fingerprint("paper", white, black, one, one, zero, zero, pool=1, answers=zero)
    assert float(made.l2[0]) == pytest.approx(8.0)


def test_another_value_range_is_refused(tmp_path):
    path = tmp_path / "f.safetensors"
    header = {"kind": "fingerprint", "fingerprint": "paper", "value_range": [0, 255], "record": {}}
    save_file({"samples": torch.zeros(1)}, path, metadata={"exitprint": json.dumps(header)})
    with pytest.raises(ExitprintError, match=r"\[0, 255\].*craft it again"):
        load_fingerprint(path)


def test_a_file_of_an_earlier_version_is_refused(tmp_path):
    header = {"kind": "fingerprint", "fingerprint": "paper", "value_range": [0.0, 1.0], "record": {}, "t_f_share": 0.25}
    save_file({"samples": torch.zeros(1)}, tmp_path / "f", metadata={"exitprint": json.dumps(header)})
    with pytest.raises(ExitprintError, match=r"earlier version.*craft it again"):
        load_fingerprint(tmp_path / "f")


@pytest.mark.parametrize("missing", ["samples", "late", "chosen", "answers"])
def test_an_incomplete_file_is_refused(tmp_path, missing):
    made = fingerprint()
    parts = {part: getattr(made, part) for part in TENSORS if part != missing}
    header = {
        "kind": "fingerprint",
        "fingerprint": "paper",
        "value_range": [0.0, 1.0],
        "pool": 20,
        "references": [],
        "record": {},
    }
    save_file(parts, tmp_path / "f", metadata={"exitprint": json.dumps(header)})
    with pytest.raises(ExitprintError, match="incomplete"):
        load_fingerprint(tmp_path / "f")


def test_a_pickle_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    for name, content in {"a": pickle.dumps(Bomb()), "b": b"PK\x03\x04rest"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ExitprintError, match="is a pickle"):
            load_fingerprint(tmp_path / name)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["", "a" * 201])
def test_a_name_has_up_to_200_characters(name):
    assert Reference("a" * 200, (0.5,), "same").name == "a" * 200
    with pytest.raises(ExitprintError, match="at most 200 characters"):
        Reference(name, (0.5,), "same")


@pytest.mark.parametrize("share", [(), (-0.1,), (0.5, 1.1)])
def test_a_share_lies_between_nothing_and_all(share):
    assert Reference("a", (0.0, 1.0), "same").share == (0.0, 1.0)
    with pytest.raises(ExitprintError, match="from 0 to 1"):
        Reference("a", share, "same")


def test_samples_of_the_papers_kind_need_not_be_changed():
    plain = fingerprint(6)
    replace(plain, samples=plain.originals).check()


def test_samples_and_originals_must_fit():
    with pytest.raises(ExitprintError, match="one shape"):
        fingerprint(originals=torch.zeros(4, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ExitprintError, match="one entry per sample"):
        fingerprint(late=torch.ones(3, dtype=torch.bool))
