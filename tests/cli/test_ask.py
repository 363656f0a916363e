"""What `verify` prints of a verdict."""

from __future__ import annotations

from dataclasses import replace

from exitprint.cli.ask import _say
from exitprint.fingerprints import Verdict

SAID = Verdict("derived", "t_n", 0.01, (0.0, 0.02), 0.05, 1e-4, 0.01, 0.5, 200, 1.5, "measured", "It is slow.")


def test_the_numbers_behind_a_verdict_are_printed(capsys):
    _say(SAID, as_json=False)
    said = capsys.readouterr().out
    assert said.startswith("derived: It is slow.")
    assert "T_N = 0.010 (0.000 to 0.020), T_f = 0.050, p = 0.0001, 200 requests in 1.5 s, measured time." in said


def test_a_verdict_without_a_number_prints_what_it_cost(capsys):
    _say(replace(SAID, decision="inconclusive", value=float("nan"), threshold=float("nan")), as_json=False)
    said = capsys.readouterr().out
    assert "nan" not in said and said.splitlines()[1] == "200 requests in 1.5 s, measured time."
