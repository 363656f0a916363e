"""The table of simulated thefts: its laws, its words, and how it is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.data import Images
from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors
from exitprint.fingerprints import (
    ContrastMethod,
    Reference,
    Strength,
    contrast_fingerprint,
    load_fingerprint,
    save_fingerprint,
    strength,
    verify,
)
from exitprint.fingerprints.promises import Exit, Theft, listed
from exitprint.fingerprints.replay import chances
from exitprint.fingerprints.strength import AS_IT_IS
from exitprint.fingerprints.thefts import OWN, SDN, new_exits
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.suspects import CostModel

STRANGER = Reference("stranger", (0.1,), "other")


@pytest.fixture(scope="module")
def policies(target):
    return [target.policy, ExitPolicy(0.93)]


@pytest.fixture(scope="module")
def made(target, digits, policies):
    return contrast_fingerprint(target, digits.test, policies, 100, 1, ContrastMethod(margin_log_odds=0.1))


@pytest.fixture(scope="module")
def measured(made, target, digits, policies):
    few = replace(digits, train=digits.train[:200])
    return strength(made, target, few, policies)


def table(**other):
    """A table by hand: two policies, an own number of 100 samples."""
    sure, half, never = (1.0, 1.0), (0.5, 0.95), (0.0, 0.0)
    itself = Theft(name=AS_IT_IS, keeps=1, share=(1, 1), claimed=(sure, sure), cleared=(never, never))
    exits = Theft(name="exits anew", keeps=0.99, share=(0.9, 0.1), claimed=(half, never), cleared=(never, sure))
    plain = {
        "samples": 100,
        "sizes": (100, 200),
        "policies": (0.9, 0.5),
        "thefts": (itself, exits),
        "exits": (),
        "images": 4000,
        "seeds": 2,
    }
    return Strength(**plain | other)


def test_a_fingerprint_comes_to_all_of_the_pairs_on_its_own_network(measured):
    itself = measured.thefts[0]
    assert itself.name == AS_IT_IS and itself.keeps == 1 and min(itself.share) > 0.99
    assert [row[measured.sizes.index(100)] for row in itself.claimed] == [1.0, 1.0]


def test_every_theft_that_fits_is_in_the_table(measured):
    names = [theft.name for theft in measured.thefts]
    assert len(set(names)) == len(names) and not measured.left_out
    for part in ("fine-tuned", "pruned by 20 %", "pruned by 40 %", "in 8 bits", "removed", "exits trained again"):
        assert any(part in name for name in names), part
    assert measured.policies == (0.9, 0.93) and measured.samples == 100 and measured.images == 200
    assert all(0.5 < theft.keeps <= 1.5 for theft in measured.thefts)


def test_the_deeper_an_exit_the_less_is_its_heads_own(measured):
    first, *_, last = measured.exits
    assert (first.number, last.number) == (1, 6) and first.leaves > 0.1
    assert last.head < 0.3 < first.head + 0.1 and last.head < first.head


def test_what_does_not_fit_an_integer_network_is_said(made, target, digits, policies):
    from exitprint.fingerprints.own import in_8_bits

    integers = in_8_bits(target, digits.train)
    few = replace(digits, train=digits.train[:200])
    found = strength(made, integers, few, policies[:1])
    assert [said.split(" (")[0] for said in found.left_out] == [
        "Not simulated: fine-tuned 2 epochs",
        "Not simulated: pruned by 20 %",
        "Not simulated: pruned by 40 %",
        "Not simulated: in 8 bits",
    ]


@pytest.mark.parametrize(("name", "kinds"), [("resnet8", [SDN]), ("branchynet", [SDN, OWN])])
def test_a_network_with_exits_of_its_own_gets_both_kinds_anew(name, kinds):
    network = MultiExitNetwork.build(architecture(name, (1, 28, 28), 10, width=4), 0)
    assert list(new_exits(network)) == kinds


def test_labels_are_needed(made, target, digits, policies):
    bare = replace(digits, train=Images(digits.train.pixels))
    with pytest.raises(ExitprintError, match="no labels"):
        strength(made, target, bare, policies)


def test_the_table_is_kept_and_no_verdict_rests_on_it(made, measured, target, tmp_path):
    path = tmp_path / "f.safetensors"
    save_fingerprint(replace(made, strength=measured), path)
    kept = load_fingerprint(path)
    assert kept.strength == measured
    save_fingerprint(made, path)
    assert load_fingerprint(path).strength is None
    one, other = (verify(each, CostModel(target), references=[STRANGER]) for each in (made, kept))
    assert one.decision == "derived" and replace(one, seconds=0) == replace(other, seconds=0)


@pytest.mark.parametrize(
    "forged",
    [
        {"samples": 0},
        {"samples": 150},
        {"policies": (0.9,)},
        {"policies": (0.9, float("nan"))},
        {"sizes": ()},
        {"thefts": ()},
        {"images": "many"},
        {"left_out": ("x" * 1000,)},
        {"more": 1},
    ],
)
def test_a_damaged_table_is_refused(forged, made, tmp_path):
    plain = table().model_dump(mode="json") | forged
    path = tmp_path / "f.safetensors"
    save_fingerprint(made, path)
    header, tensors = load_tensors(path, "fingerprint")
    save_tensors(path, "fingerprint", {**header, "strength": plain}, tensors)
    with pytest.raises(ExitprintError, match="damaged"):
        load_fingerprint(path)


def test_what_is_not_promised_is_named():
    said = table().sentences()
    assert said == [
        "Not promised: exits anew, where yours has T_c = 0.900 (claimed: 50%, with 200 samples 95%); "
        "T_c = 0.500 (claimed: 0%, called independent: 100%)."
    ]
    assert table(samples=200).sentences() == [
        "Not promised: exits anew, where yours has T_c = 0.500 (claimed: 0%, called independent: 100%)."
    ]


def test_where_not_even_the_network_is_claimed_nothing_else_is_named():
    itself, exits = table().thefts
    said = table(thefts=(itself.model_copy(update={"claimed": ((1.0, 1.0), (0.3, None))}), exits)).sentences()
    assert said[0] == "Nothing is promised where yours has T_c = 0.500 (claimed: 30%) already as it is."
    assert "T_c = 0.500" not in said[1]


def test_where_new_exits_escape_mostly_none_of_them_is_promised():
    itself, exits = table().thefts
    sure = itself.model_copy(update={"name": "tuned, exits anew", "new_exits": True})
    lost = exits.model_copy(update={"claimed": ((1.0, 1.0), (0.0, 0.0)), "new_exits": True})
    found = table(thefts=(itself, sure, lost, sure.model_copy(update={"name": "kept", "new_exits": False})))
    assert [found.promised(theft, 1) for theft in found.thefts] == [True, False, False, True]
    assert all(found.promised(theft, 0) for theft in found.thefts)
    assert found.sentences() == [
        "No theft with new exits is promised where yours has T_c = 0.500: 1 of 2 that were simulated escape there."
    ]


def test_all_that_is_promised_is_one_sentence():
    itself = table().thefts[0]
    assert table(thefts=(itself,)).sentences() == [
        "These 100 samples claim every simulated copy with a probability of 90% or more."
    ]


def test_an_exit_whose_head_decides_is_named_with_those_that_hold():
    exits = [Exit(number=n, leaves=0.2, head=head) for n, head in ((1, 0.83), (2, 0.1), (3, 0.0), (4, 0.2))]
    said = table(exits=(*exits, Exit(number=5, leaves=0.01, head=1.0))).sentences()
    assert said[-1] == (
        "Exit 1's decision lives in its head: 83% of what decides there is not in the backbone, and 20% of the samples "
        "leave there. A thief who trains exits again hides: place exits deeper, or craft for policies under which "
        "images leave at exits 2 to 4."
    )


def test_numbers_in_words():
    assert listed([2, 3, 4, 7, 9, 10]) == "2 to 4, 7, 9 to 10" and listed([]) == ""


def copies(made, share):
    """Exits of a copy on which such a share of the late samples leaves late, the others with the early ones."""
    late = made.late.nonzero()[:, 0]
    exits = torch.zeros(len(made), dtype=torch.long)
    exits[~made.late] = 1
    exits[late[: round(share * len(late))]] = 2
    return [(exits, (~made.late).long())]


@settings(max_examples=8)
@given(share=st.floats(0, 1))
def test_a_larger_share_is_claimed_no_less_and_cleared_no_more(made, share):
    claimed, cleared = chances(made, copies(made, share), 100)
    assert claimed + cleared <= 1
    if share == 1 or share > 0.99:
        assert claimed == 1
    if share < 0.7:
        assert claimed == 0
    if share > 0.75:
        assert cleared < 0.05


def test_more_samples_find_more(made):
    found = [chances(replace(made, pool=10_000), copies(made, 0.92), size)[0] for size in (100, 200, 400)]
    assert found == sorted(found) and found[0] < 0.5 < found[-1]


def test_too_few_samples_decide_nothing_and_too_many_cannot_be_had(made):
    assert chances(made, copies(made, 1.0), 20) == (0.0, 0.0)
    assert chances(made, copies(made, 1.0), 400) is None
