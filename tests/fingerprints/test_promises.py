"""What is promised of a theft, what escapes and what is uncertain, by hand; and how the table is kept."""

from __future__ import annotations

import pytest

from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors
from exitprint.fingerprints import ContrastMethod, Strength, contrast_fingerprint, load_fingerprint, save_fingerprint
from exitprint.fingerprints.promises import Theft
from exitprint.fingerprints.strength import AS_IT_IS

SURE, HALF, NEVER = (1.0, 1.0), (0.5, 0.95), (0.0, 0.0)


def theft(name, first, second, exits="sdn", claimed=(SURE, SURE), **other):
    """A theft under two policies: the share of pairs on each copy."""
    return Theft(name=name, keeps=0.99, shares=(first, second), claimed=claimed, cleared=(NEVER, NEVER), exits=exits)


ITSELF = theft(AS_IT_IS, (1.0,), (1.0,), "kept")


def table(*thefts, **other):
    """100 samples need 0.9 of the pairs, and claim nothing up to 0.8; 200 need 0.85."""
    plain = {
        "samples": 100,
        "sizes": (100, 200),
        "enough": (0.9, 0.85),
        "too_little": (0.8, 0.8),
        "policies": (0.9, 0.5),
        "thefts": (ITSELF, *thefts),
        "exits": (),
        "images": 4000,
        "seeds": 2,
    }
    return Strength(**plain | other)


def words(made):
    return [[made.word(each, policy) for policy in (0, 1)] for each in made.thefts[1:]]


def test_a_theft_well_above_what_is_needed_is_promised_under_each_policy_by_itself():
    made = table(theft("exits", (0.98, 0.98), (0.9, 0.91)))
    assert words(made) == [["promised", "uncertain"]]


def test_the_network_itself_needs_no_room():
    assert table(enough=(1.0, 1.0)).word(ITSELF, 0) == "promised"


def test_what_differs_between_seeds_is_taken_off_twice():
    near, far = theft("exits", (0.97, 0.95), (0.99, 0.93)), theft("exits", (1.0, 0.98), (1.0, 1.0))
    assert table(near).bounds(near, 0) == pytest.approx((0.96 - 0.02 * 2**0.5, 0.96 + 0.02 * 2**0.5))
    assert table(near).word(near, 0) == "promised" and table(near).word(near, 1) == "uncertain"
    assert table(far).bounds(far, 1) == pytest.approx((0.98, 1.0))


def test_a_policy_under_which_one_theft_differs_much_is_uncertain_for_all_with_such_exits():
    lucky, unlucky = theft("tuned, exits", (1.0, 1.0), (1.0, 1.0)), theft("exits", (1.0, 0.6), (1.0, 1.0))
    kept = theft("tuned, kept", (1.0, 1.0), (1.0, 1.0), "kept")
    made = table(unlucky, lucky, kept)
    assert words(made) == [["uncertain", "promised"], ["uncertain", "promised"], ["promised", "promised"]]


def test_a_thief_who_goes_as_far_again_is_allowed_for():
    exits, tuned = theft("exits", (0.99, 0.99), (0.97, 0.97)), theft("tuned, exits", (0.95, 0.95), (0.95, 0.95))
    made = table(exits, tuned)
    assert made.bounds(tuned, 0)[0] == pytest.approx(0.95 - 0.02 - 0.04)
    assert words(made)[1] == ["uncertain", "promised"]


def test_what_stays_below_with_the_spread_added_escapes():
    low = {"claimed": (NEVER, NEVER)}
    made = table(theft("exits", (0.5, 0.5), (0.79, 0.79), **low), theft("own", (0.7, 0.5), (0.3, 0.3), "own", **low))
    assert words(made) == [["escapes", "uncertain"], ["uncertain", "escapes"]]


def test_simulated_copies_have_to_be_claimed_themselves():
    made = table(theft("exits", (0.99, 0.99), (0.1, 0.1), claimed=(HALF, HALF)))
    assert words(made) == [["uncertain", "uncertain"]]
    assert made.word(made.thefts[1], 0, 200) == "promised"


def test_a_chance_is_said_where_something_is_said_and_nowhere_else():
    low = theft("own", (0.7, 0.7), (0.7, 0.7), "own", claimed=((0.0, 0.05), SURE))
    made = table(theft("exits", (0.99, 0.99), (0.91, 0.91), claimed=(HALF, SURE)), low)
    said = [[made.chance(each, policy, size) for policy in (0, 1) for size in made.sizes] for each in made.thefts[1:]]
    assert said == [[None, 0.95, None, 1.0], [0.0, 0.05, None, None]]
    assert made.chance(ITSELF, 0) == 1.0


def test_nothing_is_said_from_one_seed_or_of_samples_that_cannot_be_had():
    one = theft("exits", (1.0,), (0.1,), claimed=(SURE, NEVER))
    assert words(table(one)) == [["uncertain", "uncertain"]]
    many = table(
        theft("exits", (1, 1), (1, 1), claimed=((1.0, None), SURE)), enough=(0.9, None), too_little=(0.8, None)
    )
    assert many.word(many.thefts[1], 0, 200) == "uncertain" and many.word(many.thefts[1], 1, 200) == "uncertain"


def test_a_name_may_have_two_hundred_characters():
    assert len(table(theft(200 * "x", (1, 1), (1, 1)), left_out=(200 * "y",)).thefts[1].name) == 200


@pytest.mark.parametrize(
    "forged",
    [
        {"samples": 0},
        {"samples": 150},
        {"enough": (0.9,)},
        {"policies": (0.9,)},
        {"policies": (0.9, float("nan"))},
        {"sizes": ()},
        {"sizes": (100,), "enough": (0.9,), "too_little": (0.8,)},
        {"thefts": ()},
        {"images": "many"},
        {"left_out": ("x" * 1000,)},
        {"more": 1},
    ],
)
def test_a_damaged_table_is_refused(forged, target, digits, tmp_path):
    made = contrast_fingerprint(target, digits.test, [target.policy], 20, 1, ContrastMethod(), check=False)
    plain = table(theft("exits", (1, 1), (1, 1))).model_dump(mode="json") | forged
    path = tmp_path / "f.safetensors"
    save_fingerprint(made, path)
    header, tensors = load_tensors(path, "fingerprint")
    save_tensors(path, "fingerprint", {**header, "strength": plain}, tensors)
    with pytest.raises(ExitprintError, match="damaged"):
        load_fingerprint(path)
