"""The fingerprint's file: what goes in comes out, and what others put in is not believed."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from exitprint.errors import ExitprintError
from exitprint.fingerprints import Fingerprint, load_fingerprint, save_fingerprint


def fingerprint(n: int = 4, seed: int = 0, **fields: object) -> Fingerprint:
    g = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (2, n, 3, 8, 8), generator=g, dtype=torch.uint8)
    parts = {
        "kind": "paper",
        "samples": pixels[0],
        "originals": pixels[1],
        "late": torch.rand(n, generator=g) < 0.5,
        "reached": torch.rand(n, generator=g) < 0.5,
        "steps": torch.arange(n),
        "chosen": torch.arange(n),
    }
    return Fingerprint(**{**parts, **fields})


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    n=st.integers(1, 9),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["paper", "contrast"]),
    t_f=st.none() | st.floats(0, 1),
    share=st.floats(0, 1),
    record=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4),
)
def test_round_trip(tmp_path, n, seed, kind, t_f, share, record):
    t_f = float("nan") if t_f is None else t_f
    made = fingerprint(n, seed, kind=kind, t_f=t_f, t_f_share=share, record=record)
    save_fingerprint(made, tmp_path / "f.safetensors")
    back = load_fingerprint(tmp_path / "f.safetensors")
    for part in ("samples", "originals", "late", "reached", "steps", "chosen"):
        assert torch.equal(getattr(back, part), getattr(made, part))
    assert (back.kind, back.t_f_share, back.record) == (kind, share, record)
    assert back.t_f == t_f or (back.t_f != back.t_f and t_f != t_f)
    first = (tmp_path / "f.safetensors").read_bytes()
    save_fingerprint(back, tmp_path / "f.safetensors")
    assert (tmp_path / "f.safetensors").read_bytes() == first


def test_l2_is_in_units_of_the_pixel_range():
    black = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    white = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    one = torch.ones(1, dtype=torch.bool)
    made = Fingerprint("paper", white, black, one, one, torch.ones(1).long(), torch.zeros(1).long())
    assert float(made.l2[0]) == pytest.approx(8.0)


def test_another_value_range_is_refused(tmp_path):
    path = tmp_path / "f.safetensors"
    header = {"kind": "fingerprint", "fingerprint": "paper", "value_range": [0, 255], "record": {}, "t_f_share": 0.25}
    save_file({"samples": torch.zeros(1)}, path, metadata={"exitprint": json.dumps(header)})
    with pytest.raises(ExitprintError, match=r"\[0, 255\].*craft it again"):
        load_fingerprint(path)


@pytest.mark.parametrize("missing", ["samples", "late", "chosen"])
def test_an_incomplete_file_is_refused(tmp_path, missing):
    path = tmp_path / "f.safetensors"
    made = fingerprint()
    parts = {
        p: getattr(made, p) for p in ("samples", "originals", "late", "reached", "steps", "chosen") if p != missing
    }
    header = {
        "kind": "fingerprint",
        "fingerprint": "paper",
        "value_range": [0.0, 1.0],
        "t_f": None,
        "t_f_share": 0.25,
        "record": {},
    }
    save_file(parts, path, metadata={"exitprint": json.dumps(header)})
    with pytest.raises(ExitprintError, match="incomplete"):
        load_fingerprint(path)


def test_a_pickle_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    for name, content in {"a": pickle.dumps(Bomb()), "b": b"PK\x03\x04rest"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ExitprintError, match="is a pickle"):
            load_fingerprint(tmp_path / name)
    assert not (tmp_path / "owned").exists()


def test_samples_and_originals_must_fit():
    with pytest.raises(ExitprintError, match="one shape"):
        fingerprint(originals=torch.zeros(4, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ExitprintError, match="one entry per sample"):
        fingerprint(late=torch.ones(3, dtype=torch.bool))
