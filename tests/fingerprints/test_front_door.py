"""A contrast that holds behind a service's front door: as sent and as it comes out, at a cost that is said."""

from __future__ import annotations

from dataclasses import replace

import httpx
import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.fingerprints import (
    ContrastMethod,
    Reference,
    contrast_fingerprint,
    load_fingerprint,
    save_fingerprint,
    verify,
)
from exitprint.fingerprints.shares import shares
from exitprint.fingerprints.threshold import threshold
from exitprint.fingerprints.verify import asked_references, inputs
from exitprint.networks import ExitPolicy
from exitprint.serving import running
from exitprint.suspects import Answer, CostModel
from exitprint.suspects.through import Through

POLICIES = [ExitPolicy(0.9)]
WAY = Through("jpeg:90")


@pytest.fixture(scope="module")
def known(trained):
    return {"three": trained(3), "four": trained(4)}


@pytest.fixture(scope="module")
def made(target, known, digits):
    """One that holds behind JPEG of quality 90."""
    return contrast_fingerprint(
        target, digits.test, POLICIES, 76, 3, ContrastMethod(margin_log_odds=0.05), known, through=["jpeg:90"]
    )


def test_samples_keep_their_order_as_sent_and_behind_the_door(target, made):
    assert made.reached.float().mean() >= 0.9
    for x in (made.x, WAY(made.x)):
        with torch.no_grad():
            logits = target(x)
        for policy in POLICIES:
            exits = policy.exits(logits)
            assert (exits[made.late & made.reached] == target.num_exits - 1).all()
            assert exits[~made.late & made.reached].max() < target.num_exits - 1


def test_what_it_costs_is_recorded_against_the_same_images_crafted_without(target, known, made):
    without = made.record["without through"]
    assert 0 < without["L2"] < 2 * made.l2.mean() and 0 < 2 * without["passes"] < made.record["passes"]
    assert {name: len(share) for name, share in without["references"].items()} == {"three": 1, "four": 1}


def test_references_are_asked_as_sent_and_behind_the_door_and_the_threshold_follows(known, made):
    for each in made.references:
        again = shares(known[each.name], POLICIES, "contrast", made.samples, made.originals, made.late, [WAY])
        assert each.share == again and len(again) == 2
    followed = replace(made, references=(Reference("followed", (0.1, 0.7), "same"),))
    assert threshold(followed).p0 == 0.85


def test_the_file_keeps_its_ways_and_what_the_network_answers_behind_each(target, made, tmp_path):
    save_fingerprint(made, tmp_path / "f", largest_change=2.0)
    read = load_fingerprint(tmp_path / "f", largest_change=2.0)
    assert read.through == (WAY,) and read.answers.shape == (len(made), 2)
    for answers, x in zip(read.answers.T, (made.benign, WAY(made.benign)), strict=True):
        with torch.no_grad():
            assert torch.equal(answers, POLICIES[0].answered(target(x)))
    with pytest.raises(ExitprintError, match="one entry per sample"):
        replace(made, through=())


def test_without_references_it_is_neither_crafted_nor_believed(target, digits, made):
    with pytest.raises(ExitprintError, match="hold behind jpeg:90 too"):
        contrast_fingerprint(target, digits.test, POLICIES, 60, 3, through=["jpeg:90"])
    with pytest.raises(ExitprintError, match="hold behind jpeg:90 too"):
        threshold(replace(made, references=()))


def test_a_verifier_may_send_through_a_door_himself(made, known, target):
    sent = inputs(made, WAY)
    assert torch.equal(sent["late"], WAY(made.x[made.late])) and not torch.equal(sent["late"], inputs(made)["late"])
    suspects = {name: CostModel(network) for name, network in known.items()}
    (as_sent, behind), (alone,) = (asked_references(made, suspects, way)[0].share for way in (None, WAY))
    assert alone == behind and 0 <= as_sent <= 1
    verdict = verify(made, CostModel(target), references=suspects, through="jpeg:90")
    assert verdict.decision == "derived"


def test_the_command_says_what_it_costs(run, made, target_file, tmp_path, monkeypatch):
    asked = []

    def craft(*_, through, **__):
        asked.extend(through)
        return made

    monkeypatch.setattr("exitprint.fingerprints.contrast_fingerprint", craft)
    done = run(
        "fingerprint", target_file, "--data", "digits", "--quick", "--through", "jpeg:90", "--out", tmp_path / "f"
    )
    assert done.code == 0 and asked == [WAY]
    said = " ".join(done.out.split())
    without = made.record["without through"]
    assert f"costs an L2 of {made.l2.mean():.2f} instead of {without['L2']:.2f}" in said
    as_sent, behind = made.references[0].share
    assert f"On three the share of pairs is {as_sent:.2f} as sent, and behind jpeg:90 {behind:.2f}; without" in said
    assert f"it would be {without['references']['three'][0]:.2f}." in said


class ByExit:
    """A server that says at which exit it answered: the same on a busy machine, so it stands for the time here."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, x: torch.Tensor) -> Answer:
        images = {"name": "images", "datatype": "FP32", "shape": list(x.shape), "data": x.flatten().tolist()}
        answer = httpx.post(f"{self.url}/infer", json={"inputs": [images], "outputs": [{"name": "exit"}]}).json()
        return Answer(np.array(answer["outputs"][0]["data"], dtype=np.float64) + 1, "server-reported")


def test_a_copy_is_found_behind_a_real_server_that_encodes_images_again(made, known, target, target_file):
    references = {name: CostModel(network) for name, network in known.items()}
    with running(target_file, through=WAY, show_exit=True) as url:
        suspect = ByExit(url)
        assert (suspect.ask(made.x).seconds - 1).tolist() == target.predict(WAY(made.x)).exits.tolist()
        verdict = verify(made, suspect, references=references)
    assert verdict.decision == "derived", verdict.reason
