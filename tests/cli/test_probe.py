from __future__ import annotations

import pytest

from exitprint.networks import ExitPolicy, save_network
from exitprint.networks.onnx_export import export_onnx
from exitprint.training import spread_policy


@pytest.fixture(scope="module")
def victim_file(tmp_path_factory, target, digits):
    victim = target.copy()
    victim.policy = spread_policy(target, digits.calibration, 0.85)
    path = tmp_path_factory.mktemp("victim") / "victim.safetensors"
    save_network(victim, path)
    return path


def test_an_owner_sees_his_strategy_leak_and_what_hides_it(run, victim_file, tmp_path):
    done = run("probe", victim_file, "--data", "digits", "--queries", 300, "--clock", "cost-model", "--json",
               "--plot", tmp_path / "exits.png")  # fmt: skip
    assert done.code == 0
    said = done.json
    assert said["clock"] == "cost-model" and said["end"] == "clear" and said["images"] == 300
    assert said["leak"]["ARI"] == pytest.approx(1) and said["leak"]["share"] == pytest.approx(1)
    assert len(said["boundaries"]) == said["exits"] - 1 and sum(said["inputs"]) == 300
    measures = {row["name"]: row for row in said["countermeasures"]}
    assert measures["constant time"]["leak"]["bits"] == 0 < measures["constant time"]["added"]
    assert (tmp_path / "exits.png").read_bytes()[:4] == b"\x89PNG"


def test_the_same_in_words(run, victim_file):
    done = run("probe", victim_file, "--data", "digits", "--queries", 200, "--clock", "cost-model")
    assert done.code == 0
    for words in ("told apart", "relative depth", "Your strategy", "constant time", "cost-model time"):
        assert words in done.out


def test_what_is_not_the_owners_has_no_self_check(run, victim_file, tmp_path):
    from exitprint.networks import load_network

    export_onnx(load_network(victim_file), tmp_path / "victim.onnx")
    done = run("probe", tmp_path / "victim.onnx", "--data", "digits", "--queries", 60, "--repeats", 4, "--json")
    assert done.code == 0 and done.json["clock"] == "measured" and "leak" not in done.json


def test_a_suspect_that_never_leaves_early_is_told(run, target, tmp_path):
    shut = target.copy()
    shut.policy = ExitPolicy(2.0)
    save_network(shut, tmp_path / "shut.safetensors")
    done = run("probe", tmp_path / "shut.safetensors", "--data", "digits", "--queries", 100, "--clock", "cost-model")
    assert done.code == 0 and "same time for every image" in done.out


def test_asking_goes_on_where_a_journal_ends(run, victim_file, tmp_path):
    words = ("probe", victim_file, "--data", "digits", "--queries", 40, "--repeats", 2, "--journal", tmp_path / "j")
    first = run(*words, "--json")
    assert first.code == 0 and (tmp_path / "j").exists()
    assert "--resume" in run(*words).err
    again = run(*words, "--resume", "--json")
    assert again.json["centres"] == first.json["centres"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--queries", 5000), "with fewer"),
        (("--queries", 5), "too few"),
        (("--queries", 50, "--budget", 20), "budget of 20"),
        (("--queries", 50, "--rate", 5), "leave out --rate"),
        (("--queries", 50, "--plot", "nowhere/exits.png"), "no folder"),
    ],
)
def test_bad_input_is_one_sentence(run, victim_file, words, says):
    done = run("probe", victim_file, "--data", "digits", *words)
    assert done.code == 2 and says in done.err and "Traceback" not in done.err


def test_a_cost_model_needs_a_file_of_ours(run):
    done = run("probe", "http://127.0.0.1:9/v2/models/x", "--data", "digits", "--clock", "cost-model")
    assert done.code == 2 and "--clock" in done.err
