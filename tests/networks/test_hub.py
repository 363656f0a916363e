"""The hub's layout, on a local folder; and what is said where the hub cannot be reached."""

from __future__ import annotations

import json

import pytest
import torch
from huggingface_hub import ModelCard

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
    assert network.history[0]["step"] in card.text and f"| {network.exits - 1} |" in card.text


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
