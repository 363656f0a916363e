import json
import os
import signal

import pytest

from exitprint.claims.panel import load_panel, members, planned, train_panel
from exitprint.errors import ExitprintError
from exitprint.networks import load_network
from exitprint.training import all_logits, train_network


@pytest.fixture(scope="module")
def panel(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    train_panel(plan(digits), digits, folder)
    return folder


def plan(digits, **changes):
    return planned(digits, **{"networks": 3, "archs": ["resnet8", "branchynet"], "width": 4, "epochs": 2, **changes})


def test_architectures_are_taken_in_turns_with_seeds_of_their_own(digits):
    made = plan(digits)
    assert [each.name for each in made.networks] == ["01-resnet8", "02-branchynet", "03-resnet8"]
    assert len({each.seed for each in made.networks}) == 3


def test_a_panel_tells_inputs_apart(panel, digits):
    for name in members(panel):
        network = load_network(panel / f"{name}.safetensors")
        exits = network.policy.exits(all_logits(network, digits.test))
        assert len(set(exits.tolist())) > 1


def test_what_is_trained_is_not_trained_again(panel, digits):
    before = {path: path.stat().st_mtime_ns for path in panel.glob("*.safetensors")}
    train_panel(plan(digits), digits, panel)
    assert {path: path.stat().st_mtime_ns for path in panel.glob("*.safetensors")} == before


def test_a_killed_run_goes_on_and_gives_the_same(panel, digits, tmp_path):
    half = load_panel(panel)
    for member in half.networks[1:]:
        member.sha256 = None
    half.write(tmp_path)
    first = f"{half.networks[0].name}.safetensors"
    (tmp_path / first).write_bytes((panel / first).read_bytes())
    train_panel(plan(digits), digits, tmp_path)
    assert members(tmp_path) == members(panel)


@pytest.fixture
def stopped_at_the_second(monkeypatch):
    """Ctrl-C while the second network is trained."""
    trained = []

    def train(*words, **options):
        if trained:
            os.kill(os.getpid(), signal.SIGINT)
        trained.append(train_network(*words, **options))
        return trained[-1]

    with monkeypatch.context() as stopping:
        stopping.setattr("exitprint.claims.panel.train_network", train)
        yield stopping


def test_a_stopped_run_says_so_and_goes_on(run, stopped_at_the_second, tmp_path):
    words = ("panel", "--data", "digits", "--networks", 2, "--arch", "resnet8", "--width", 4, "--epochs", 1)
    done = run(*words, "--out", tmp_path)
    said = done.err.splitlines()[-1]
    assert done.code == 130 and "Traceback" not in done.err
    assert "stopped; 1 of 2 networks are in" in said and "the same command goes on" in said
    assert [each.name for each in tmp_path.glob("*.safetensors")] == ["01-resnet8.safetensors"]
    stopped_at_the_second.undo()
    first = (tmp_path / "01-resnet8.safetensors").stat().st_mtime_ns
    assert run(*words, "--out", tmp_path).code == 0
    assert len(members(tmp_path)) == 2 and (tmp_path / "01-resnet8.safetensors").stat().st_mtime_ns == first


def test_another_panel_is_not_gone_on_with(panel, digits):
    with pytest.raises(ExitprintError, match="holds another panel"):
        train_panel(plan(digits, seed=7), digits, panel)


def copied(panel, to):
    for path in panel.iterdir():
        (to / path.name).write_bytes(path.read_bytes())


def test_a_network_that_was_hidden_is_missed(panel, tmp_path):
    copied(panel, tmp_path)
    (tmp_path / "02-branchynet.safetensors").unlink()
    with pytest.raises(ExitprintError, match="'02-branchynet' is missing"):
        members(tmp_path)


def test_a_network_that_was_exchanged_is_refused(panel, tmp_path):
    copied(panel, tmp_path)
    (tmp_path / "01-resnet8.safetensors").write_bytes((panel / "03-resnet8.safetensors").read_bytes())
    with pytest.raises(ExitprintError, match="not the one that was trained"):
        members(tmp_path)


def test_an_unfinished_panel_is_no_panel(panel, tmp_path):
    copied(panel, tmp_path)
    half = json.loads((tmp_path / "panel.json").read_text())
    half["networks"][2]["sha256"] = None
    (tmp_path / "panel.json").write_text(json.dumps(half))
    with pytest.raises(ExitprintError, match="not trained yet"):
        members(tmp_path)


def test_what_is_no_network_is_no_member(panel, fingerprint_file, tmp_path):
    copied(panel, tmp_path)
    (tmp_path / "f.safetensors").write_bytes(fingerprint_file.read_bytes())
    with pytest.raises(ExitprintError, match="is no network: take it out of the panel"):
        members(tmp_path)


def test_networks_that_are_brought_count(panel, target_file, tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(target_file.read_bytes())
    assert list(members(tmp_path)) == ["mine"]
    copied(panel, tmp_path)
    assert len(members(tmp_path)) == 4


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"networks": [{"name": "../x"}]}'])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "panel.json").write_text(text)
    with pytest.raises(ExitprintError, match="no manifest"):
        load_panel(tmp_path)


def test_the_verb(run, tmp_path):
    words = ("panel", "--data", "digits", "--networks", 1, "--arch", "resnet8", "--width", 4, "--epochs", 1)
    assert run(*words, "--out", tmp_path / "panel").code == 0
    assert run(*words, "--out", tmp_path / "panel").code == 0
    assert run(*words, "--out", tmp_path / "panel", "--seed", 3).code == 2
