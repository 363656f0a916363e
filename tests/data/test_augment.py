"""Laws of augmentation and of 8-bit images."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from exitprint.data import Images, augment, eight_bit, split, unit_range
from exitprint.data.augment import random_crop, random_flip


def generator(seed):
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 1000), st.integers(1, 3), st.sampled_from([1, 3]))
def test_a_crop_is_a_shift_with_black_coming_in(seed, padding, channels):
    pixels = torch.randint(1, 256, (4, channels, 8, 8), generator=generator(seed), dtype=torch.uint8)
    cropped = random_crop(pixels, padding, generator(seed))
    for before, after in zip(pixels, cropped, strict=True):
        shifts = [
            torch.nn.functional.pad(before, (padding,) * 4)[:, i : i + 8, j : j + 8]
            for i in range(2 * padding + 1)
            for j in range(2 * padding + 1)
        ]
        assert any(torch.equal(after, shifted) for shifted in shifts)


@given(st.integers(0, 1000))
def test_a_flip_mirrors_or_keeps(seed):
    pixels = torch.randint(0, 256, (6, 1, 8, 8), generator=generator(seed), dtype=torch.uint8)
    for before, after in zip(pixels, random_flip(pixels, generator(seed)), strict=True):
        assert torch.equal(after, before) or torch.equal(after, before.flip(2))


def test_augmentation_is_seeded_and_flips_only_where_allowed():
    pixels = torch.randint(0, 256, (64, 3, 16, 16), generator=generator(0), dtype=torch.uint8)
    assert torch.equal(augment(pixels, True, generator(1)), augment(pixels, True, generator(1)))
    assert not torch.equal(augment(pixels, True, generator(1)), augment(pixels, False, generator(1)))


def test_eight_bits_survive_a_round_trip():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(eight_bit(unit_range(pixels)), pixels)
    assert eight_bit(torch.tensor([-0.1, 1.1])).tolist() == [0, 255]


@given(st.integers(0, 1000), st.sampled_from([0.1, 0.25, 40]))
def test_a_split_is_disjoint_whole_and_stratified(seed, share):
    images = Images(torch.arange(200).view(200, 1, 1, 1), torch.arange(200) % 10)
    rest, part = split(images, share, seed)
    assert sorted(torch.cat([rest.pixels, part.pixels]).flatten().tolist()) == list(range(200))
    assert len(part) == (share if share >= 1 else share * 200)
    assert len(set(part.labels.bincount(minlength=10).tolist())) == 1
