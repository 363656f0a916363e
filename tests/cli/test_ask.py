"""What `verify` prints of a verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exitprint.cli.ask import _say
from exitprint.fingerprints import Verdict

SAID = Verdict(
    decision="derived",
    kind="contrast",
    share=0.97,
    interval=(0.88, 1.0),
    p0=0.65,
    nature=0.95,
    nature_interval=(0.8, 1.0),
    e_value=2e4,
    p_value=5e-5,
    e_value_independent=1.0,
    alpha=1e-3,
    beta=1e-3,
    requests=200,
    seconds=1.5,
    bytes=None,
    clock="measured",
    reason="It is slow.",
    assumptions=("The moon is round.",),
    floor=None,
    seed=0,
)


def test_the_numbers_behind_a_verdict_are_printed(capsys):
    _say(SAID, Path("f-1.journal"), as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("derived: It is slow.")
    assert "Crafted: 97% of the pairs (88% to 100%), a claim needs more than 65%." in said
    assert "By nature: 95% of the pairs (80% to 100%). p = 5e-05; 200 requests in 1.5 s, measured time." in said
    assert "This rests on: - The moon is round." in said and "kept in 'f-1.journal'" in said


def test_a_verdict_without_a_number_prints_what_it_cost(capsys):
    nothing = {"share": None, "interval": None, "nature": None, "nature_interval": None}
    _say(replace(SAID, decision="inconclusive", p_value=1.0, **nothing), None, as_json=False)
    said = capsys.readouterr().out
    assert "nan" not in said.split() and "None" not in said
    assert "nothing was compared" in said and "200 requests in 1.5 s" in said
