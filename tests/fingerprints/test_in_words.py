"""The table of simulated thefts in sentences."""

from __future__ import annotations

from exitprint.fingerprints import Strength
from exitprint.fingerprints.in_words import in_words, listed
from exitprint.fingerprints.promises import Exit, Theft

SURE, HALF, NEVER = (1.0, 1.0), (0.5, 0.95), (0.0, 0.0)
ITSELF = Theft(name="as it is", keeps=1, shares=((1,), (1,)), claimed=(SURE, SURE), cleared=(NEVER, NEVER))
ANEW = Theft(
    name="exits anew",
    keeps=0.99,
    shares=((0.92, 0.9), (0.1, 0.1)),
    claimed=(HALF, NEVER),
    cleared=(NEVER, SURE),
    exits="sdn",
)


def table(**other):
    """100 samples need 0.9 of the pairs under each of two policies, 200 need 0.8."""
    plain = {
        "samples": 100,
        "sizes": (100, 200),
        "enough": (0.9, 0.8),
        "too_little": (0.7, 0.6),
        "policies": (0.9, 0.5),
        "thefts": (ITSELF, ANEW),
        "exits": (),
        "images": 4000,
        "seeds": 2,
    }
    return Strength(**plain | other)


def test_what_is_not_promised_is_named_for_each_policy():
    assert in_words(table()) == [
        "T_c = 0.900: 0 of 1 simulated thefts are promised to be found. Uncertain: exits anew (0.91 of the pairs, "
        "promised with 200 samples).",
        "T_c = 0.500: 0 of 1 simulated thefts are promised to be found. Escapes: exits anew (0.10 of the pairs, "
        "called independent: 100%).",
    ]


def test_where_not_even_the_network_is_claimed_nothing_is_promised():
    itself = ITSELF.model_copy(update={"claimed": (SURE, (0.3, None))})
    assert in_words(table(thefts=(itself, ANEW)))[1] == (
        "T_c = 0.500: nothing is promised, for your network as it is is claimed with 30% only."
    )


def test_all_that_is_promised_is_one_sentence_for_each_policy():
    sure = ANEW.model_copy(update={"shares": ((1, 1), (1, 1)), "claimed": (SURE, SURE)})
    assert in_words(table(thefts=(ITSELF, sure), left_out=("Not simulated: x.",))) == [
        "T_c = 0.900: every simulated theft is promised to be found with 100 samples.",
        "T_c = 0.500: every simulated theft is promised to be found with 100 samples.",
        "Not simulated: x.",
    ]


def test_an_exit_whose_head_decides_is_named_with_those_that_hold():
    exits = [Exit(number=n, leaves=0.2, head=head) for n, head in ((1, 0.83), (2, 0.1), (3, 0.0), (4, 0.2))]
    said = in_words(table(exits=(*exits, Exit(number=5, leaves=0.01, head=1.0))))
    assert said[2:] == [
        "Exit 1's decision lives in its head: 83% of what decides there is not in the backbone, and 20% of the samples "
        "leave there. A thief who trains exits again hides: craft on new exits as well (--new-exits 2), place exits "
        "deeper, or craft for policies under which images leave at exits 2 to 4."
    ]
    assert in_words(table(exits=exits[:1]))[2].endswith(
        "craft on new exits as well (--new-exits 2), or place exits deeper."
    )


def test_numbers_in_words():
    assert listed([2, 3, 4, 7, 9, 10]) == "2 to 4, 7, 9 to 10" and listed([]) == ""
