"""The study's suspects, what it measures of one, and its tables by hand."""

from __future__ import annotations

import pytest
import torch

from exitprint.fingerprints import Fingerprint
from exitprint.fingerprints.shares import logits_of
from exitprint.networks import ExitPolicy
from exitprint_studies.ours import paper_well_trained as study
from exitprint_studies.ours.makers import DEPTHS, FURTHER, ON_TOP, THEFTS
from exitprint_studies.studies import study_named


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_block_but_the_last_has_a_classifier(depth):
    blocks = (depth - 2) // 2
    assert study.target(depth).exits == tuple(range(blocks - 1))


def test_the_suspects_are_the_target_its_copies_and_the_other_networks():
    suspects = study.suspects(20)
    assert [each.change for each in suspects[:6]] == ["none", *["policy"] * 4, "exits"]
    assert {each.theft for each in suspects} == {None, *THEFTS, *FURTHER}
    others = [each for each in suspects if each.change == "another network"]
    assert {each.network.depth for each in others} == {32, 44} and len(others) == 4
    assert len({each.name for each in suspects}) == len(suspects)
    assert set(ON_TOP) | set(ON_TOP.values()) <= set(FURTHER)


def test_the_papers_measurement_of_images_that_were_not_changed_is_that_of_benign_ones(target, digits):
    images, every = digits.test.pixels[:40], torch.ones(40, dtype=torch.bool)
    made = Fingerprint(
        kind="paper",
        samples=images.flip(0),
        originals=images,
        late=every,
        reached=every,
        steps=every.long(),
        chosen=torch.arange(40),
        pool=100,
        answers=digits.test.labels[:40],
    )
    logits = {"paper": (logits_of(target, made.samples), logits_of(target, images))}
    found = study._timed({"paper": made}, logits, ExitPolicy(0.9), target)
    assert found["T_N, paper"] == pytest.approx(found["benign T_N"]) and 0 < found["T_N, paper"] < 1


def row(change, T_N, share, rad=5):
    return {
        "target": "ResNet-20",
        "suspect": "ResNet-20" if change == "none" else f"ResNet-20, {change}",
        "change": change,
        "RAD": rad,
        "T_N, paper, stopped early": T_N,
        "T_N, paper, 50 steps": T_N / 10,
        "benign T_N": 0.4,
        "share, contrast": share,
        "verdict, contrast": "derived" if share > 0.9 else "inconclusive",
        "label share, baseline": None,
    }


def test_the_tables_say_whether_copies_and_strangers_are_parted():
    rows = [row("none", 0.0, 1.0), row("exits", 0.1, 0.95), row("exits", 0.3, 0.7), row("another network", 0.2, 0.5)]
    rows.append(row(study.USELESS, 0.6, 0.5))
    T_N, _, share = study.parted(rows)
    assert (T_N["copy least like it"], T_N["stranger most like it"], T_N["parted"]) == (0.3, 0.2, False)
    assert (share["copy least like it"], share["stranger most like it"], share["parted"]) == (0.7, 0.5, True)
    exits = study.by_change(rows)[1]
    assert exits["suspects"] == 2 and exits["T_N, paper, stopped early"] == pytest.approx(0.2) and exits["derived"] == 1
    assert exits["label share, baseline"] is None
    page = study.page_of(rows)
    assert "Parted or not" in page and "another network" in page
    assert study_named("paper-well-trained") is study.STUDY


def test_the_papers_numbers_stand_beside_ours():
    rows = [
        *(row(change, 0.0, 1.0, rad) for change in ("none", study.USELESS) for rad in (5, 15)),
        *(row("ICs retrained", T_N, 1.0, rad) for T_N, rad in ((0.005, 5), (0.3, 15))),
        *(row(study.OTHER, 0.2, 0.5, rad) for rad in (5, 15)),
    ]
    beside = {(line["measured"], line["of"], line["RAD"]): line for line in study.beside_the_paper(rows)}
    early = "T_N, paper, stopped early"
    own = beside[early, "the target", 5]
    assert (own["the paper's ResNet-56"], own["ResNet-20"]) == (0.0, 0.0)
    assert beside["benign T_N", "the target", 15]["the paper's ResNet-56"] == 0.55
    retrained = [beside[early, "ICs retrained", rad]["ResNet-20"] for rad in (5, 15)]
    assert retrained == [0.005, 0.3] and beside[early, "8-bit, new ICs", 5]["ResNet-20"] is None
    assert [beside[early, "ROC AUC", rad]["ResNet-20"] for rad in (5, 15)] == [1.0, 0.0]
    below = "copies below the paper's T_f"
    assert [beside[early, below, rad]["ResNet-20"] for rad in (5, 15)] == [1.0, 0.0], "not counting the useless one"
    assert beside["label share, baseline", "ROC AUC", 5]["ResNet-20"] is None
