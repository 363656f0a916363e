"""The hub's layout, on a local folder; and what is said where the hub cannot be reached."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi, ModelCard, ModelHubMixin

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture


@pytest.fixture(params=["ours", "wrapped"])
def network(request):
    if request.param == "wrapped":
        return MultiExitNetwork.wrap(user.Residual(), 2, example=torch.rand(2, 1, 8, 8), mean=[0.3], std=[0.2])
    network = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=4), 0, ExitPolicy(0.7)).eval()
    network.history = [{"step": "trained", "seed": 3}]
    return network


def test_a_folder_holds_what_the_hub_expects_and_gives_the_network_back(network, tmp_path):
    network.save_pretrained(tmp_path / "model")
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    back = MultiExitNetwork.from_pretrained(tmp_path / "model")
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(back(x), network(x)) and back.policy == network.policy
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["library_name"] == "exitprint" and config["exit_costs"][-1] == 1
    assert config["policy"]["thresholds"] == list(network.policy.thresholds)
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.library_name == "exitprint" and card.data.pipeline_tag == "image-classification"
    assert network.history[0]["step"] in card.text and f"| {network.num_exits - 1} |" in card.text


def test_a_card_that_somebody_wrote_stays(network, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    network.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_what_is_not_there_is_said(network, tmp_path, monkeypatch):
    with pytest.raises(ExitprintError, match="no file"):
        MultiExitNetwork.from_pretrained(tmp_path)
    with pytest.raises(ExitprintError, match="no folder 'nobody/nothing'"):
        MultiExitNetwork.from_pretrained("nobody/nothing", local_files_only=True, cache_dir=tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ExitprintError, match="hub does not take it"):
        network.push_to_hub("nobody/nothing", token="none")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExitprintError, match="choose another"):
        network.save_pretrained(tmp_path / "file" / "folder")


@pytest.fixture
def repository(network, tmp_path, monkeypatch):
    """A repository of the hub, `owner/name`: a folder that downloads come out of."""
    network.save_pretrained(tmp_path)

    def download(repo_id, filename, **options):
        assert repo_id == "owner/name" and options["revision"] == "v1"
        return str(tmp_path / filename)

    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", download)
    monkeypatch.setattr("exitprint.networks.hub.hf_hub_download", download)
    return tmp_path


def test_a_repository_gives_the_network_of_its_file_whatever_its_configuration_says(network, repository):
    x = torch.rand(3, 1, 8, 8)
    assert isinstance(network, ModelHubMixin)
    config = json.loads((repository / "config.json").read_text())
    for policy in (config["policy"], {"thresholds": [0.0]}, None):
        (repository / "config.json").write_text(json.dumps({**config, "policy": policy}))
        back = MultiExitNetwork.from_pretrained("owner/name", revision="v1")
        assert back.policy == network.policy and torch.equal(back(x), network(x))
        again = back.copy()
        again.save_pretrained(repository / "again")
        assert json.loads((repository / "again" / "config.json").read_text())["policy"] == config["policy"]
    for broken in ("{", "[]"):
        (repository / "config.json").write_text(broken)
        with pytest.raises(ExitprintError, match="hub does not give it"):
            MultiExitNetwork.from_pretrained("owner/name", revision="v1")


def test_a_new_repository_is_private_and_a_card_that_is_there_is_kept(network, monkeypatch):
    said = {}

    class Hub(HfApi):
        def create_repo(self, repo_id, *, private, exist_ok):
            said["private"] = private
            return SimpleNamespace(repo_id=repo_id)

        def file_exists(self, repo_id, filename, **_):
            return filename == "README.md"

        def upload_folder(self, *, folder_path, ignore_patterns, **_):
            said["files"] = {file.name for file in folder_path.iterdir()} - set(ignore_patterns)
            return "address"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Hub)
    monkeypatch.setattr("exitprint.networks.hub.HfApi", Hub)
    assert network.push_to_hub("owner/name") == "address"
    assert said == {"private": True, "files": {"config.json", "model.safetensors"}}
