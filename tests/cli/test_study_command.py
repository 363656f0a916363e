"""`exitprint study`: what it lists, plans and makes of what is there."""

from __future__ import annotations

import sys


def test_a_plan_and_what_is_there_make_no_network(run, tmp_path):
    words = ("study", "paper-table-1", "--preset", "gpu", "--store", tmp_path / "store")
    planned = run(*words, "--plan", "--json").json
    assert planned["networks"] > 10 and planned["present"] == 0 and not (tmp_path / "store").exists()
    done = run(*words, "--present", "--out", tmp_path / "out")
    assert done.code == 2 and "leave --present out" in done.err
    assert not list((tmp_path / "out").iterdir())


def test_a_study_that_cannot_be_made_in_part_says_so(run, tmp_path):
    for option in ("--present", "--rehearse"):
        done = run("study", "contrast", option, "--out", tmp_path)
        assert done.code == 2 and f"leave {option} out" in done.err


def test_a_folder_is_asked_for(run):
    done = run("study", "paper")
    assert done.code == 2 and "give --out DIR" in done.err


def test_what_it_needs_is_named_where_it_is_missing(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "exitprint_studies.studies", None)
    done = run("study", "list")
    assert done.code == 2 and "'exitprint_studies', which is not installed" in done.err
    assert "pip install 'exitprint[studies]'" in done.err
