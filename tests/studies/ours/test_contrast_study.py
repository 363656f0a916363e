"""The study that puts the contrast beside the paper's fingerprint: its tables by hand, and its rows on digits."""

from __future__ import annotations

import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.fingerprints import ContrastMethod
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint_studies.ours import contrast as study
from exitprint_studies.ours.third_party import MEAN, some_exits, third_party_backbone, third_party_rows, weights_file
from exitprint_studies.population.declare import Source, realise
from exitprint_studies.population.laptop import population
from exitprint_studies.population.store import Store
from exitprint_studies.studies import study_named
from exitprint_studies.study import Run

DIGITS = Source(name="digits", limit=800)


def row(truth, everything, paper, keeps=1.0, group="g", rad=5.0, name="n"):
    return {
        "family": "resnet",
        "RAD": rad,
        "network": name,
        "truth": truth,
        "group": group,
        "keeps": keeps,
        "everything": everything,
        "paper": paper,
    }


@pytest.fixture
def rows():
    return [row("target", 1.0, 0.0, rad=rad) for rad in (5.0, 15.0)] + [
        row(truth, value, t_n, keeps, rad=rad, name=f"{truth} {i}")
        for rad in (5.0, 15.0)
        for i, (truth, value, t_n, keeps) in enumerate(
            [
                ("stolen", 0.9, 0.0, 1.0),
                ("stolen", 0.5, 0.3, 0.95),
                ("stolen", 0.2, 0.4, 0.5),
                ("independent", 0.3, 0.2, 1.0),
                ("independent", 0.4, 0.35, 1.0),
            ]
        )
    ]


def test_roc_counts_useless_copies_in_one_column_only(rows):
    first = study.roc_table(rows)[0]
    assert (first["copies"], first["useful copies"], first["independents"]) == (3, 2, 2)
    assert first["contrast"].startswith("0.667") and first["contrast, useful copies"].startswith("1.000")
    assert first["paper"].startswith("0.500") and first["paper, useful copies"].startswith("0.750")


def test_groups_are_averaged(rows):
    table = study.group_table(rows)
    assert [line["networks × RAD"] for line in table] == [12]
    assert table[0]["least"] == pytest.approx(0.2)


@pytest.mark.timeout(120)
def test_rows_of_a_small_population(tmp_path, monkeypatch):
    def small(family):
        members = population(family, DIGITS, independents=1)
        return [members[0], next(m for m in members if m.role == "independent")]

    def at_one_threshold(spec, store, data_dir=None):
        network = realise(spec, store, data_dir)
        network.policy = ExitPolicy(0.7)
        return network

    monkeypatch.setattr(study, "realise", at_one_threshold)
    monkeypatch.setattr(study, "policies_of", lambda network, data: [network.policy] * 2)
    monkeypatch.setattr(study, "population", small)
    monkeypatch.setattr(study, "at_rad", lambda members, rad: [m.at(rad) for m in members])
    monkeypatch.setattr(study, "LAPTOP", ("resnet",))
    monkeypatch.setattr(
        study, "WITHOUT", {"everything": ContrastMethod(), "no margin": ContrastMethod(margin_log_odds=0.0)}
    )
    monkeypatch.setattr(study, "REFERENCES", ())
    monkeypatch.setattr(study, "SAMPLES", 20)
    monkeypatch.setattr(study, "RADS", (0.0,))
    run = Run("laptop", tmp_path, Store(tmp_path / "store"))
    rows = study.rows_of(run)
    assert [r["truth"] for r in rows] == ["target", "independent"]
    assert rows[0]["everything"] > 0.9 and rows[0]["keeps"] == 1.0
    assert rows[1]["everything"] < rows[0]["everything"] and rows[0]["clock"] == "cost-model"
    assert study.rows_of(run) == rows
    assert {line["method"] for line in study.visibility_table(run)} == {"contrast", "paper"}


def foreign_state(network):
    """The network's weights under the third party's names."""
    blocks = (len(network.stages) - 1) // 3
    names = {"stages.0.0.0.weight": "conv1.weight"}
    for what in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        names[f"stages.0.0.1.{what}"] = f"bn1.{what}"
    for i in range(3 * blocks):
        ours, theirs = f"stages.{i}.{'1.' if i == 0 else ''}", f"layer{i // blocks + 1}.{i % blocks}."
        names[f"{ours}first.0.weight"], names[f"{ours}second.weight"] = f"{theirs}conv1.weight", f"{theirs}conv2.weight"
        for what in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            names[f"{ours}first.1.{what}"], names[f"{ours}norm.{what}"] = f"{theirs}bn1.{what}", f"{theirs}bn2.{what}"
    names |= {f"heads.{network.num_exits - 1}.linear.{what}": f"linear.{what}" for what in ("weight", "bias")}
    state = network.state_dict()
    return {f"module.{theirs}": state[ours] for ours, theirs in names.items()}


@pytest.mark.parametrize(("depth", "exits"), [(20, None), (32, some_exits(32, 8)), (44, some_exits(44, 8))])
def test_the_third_partys_weights_become_a_network_of_ours(tmp_path, depth, exits):
    source = MultiExitNetwork.build(architecture(f"resnet{depth}", (3, 32, 32), 10), seed=3).eval()
    torch.save({"state_dict": foreign_state(source)}, tmp_path / weights_file(depth))
    network = third_party_backbone(tmp_path / weights_file(depth), depth, exits)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean, std = network.mean, network.std
    with torch.no_grad():
        assert torch.allclose(network(x)[:, -1], source((x - mean) / std)[:, -1], atol=1e-5)
    assert mean.flatten().tolist() == pytest.approx(MEAN)
    assert network.num_exits == (len(exits) if exits else (depth - 2) // 2) + 1


def test_some_exits_are_spread_evenly():
    assert some_exits(20, 8) == tuple(range(8))
    assert some_exits(44, 2) == (6, 13)


def test_other_weights_are_refused(tmp_path):
    other = MultiExitNetwork.build(architecture("resnet20", (3, 32, 32), 10, width=8), seed=0)
    torch.save({"state_dict": foreign_state(other)}, tmp_path / weights_file(20))
    with pytest.raises(ExitprintError, match="no CIFAR ResNet-20"):
        third_party_backbone(tmp_path / weights_file(20))
    with pytest.raises(ExitprintError, match="not in the folder"):
        third_party_rows(Run("laptop", tmp_path, Store(tmp_path), tmp_path / "nowhere"))


def test_the_study_is_declared_and_planned(tmp_path):
    planned = study_named("contrast").plan("laptop", Store(tmp_path))
    assert planned.networks > 180 and planned.present == 0
