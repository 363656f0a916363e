"""ONNX elsewhere: a network with many exits says what that costs, and is exported with fewer or stage by stage."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, exit_costs, save_network
from exitprint.networks.onnx_export import export_onnx, export_stages, with_fewer_exits

X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network(depth: int) -> MultiExitNetwork:
    made = MultiExitNetwork.build(architecture("resnet", (1, 8, 8), 10, depth, 4), seed=0).eval()
    with torch.no_grad():
        certainty = made.policy.certainty(made(X))
    made.policy = ExitPolicy([float(column.quantile(0.7)) for column in certainty.T[:-1]])
    return made


@pytest.fixture(scope="module")
def many():
    return network(38)


@pytest.mark.parametrize(("depth", "said"), [(8, False), (20, False), (38, True), (56, True)])
def test_export_says_what_many_exits_cost_elsewhere(depth, said, tmp_path, run):
    save_network(network(depth), tmp_path / "n.safetensors")
    done = run("export", tmp_path / "n.safetensors", "--out", tmp_path / "n.onnx")
    assert done.code == 0, done.err
    assert ("OpenVINO" in done.out and "--exits 10" in done.out and "--stages" in done.out) is said


@pytest.mark.parametrize("wanted", [1, 2, 5, 10, 19])
def test_fewer_exits_are_those_of_the_network_spread_by_cost(wanted, many, tmp_path):
    fewer = with_fewer_exits(many, wanted)
    assert fewer.num_exits == wanted and set(fewer.exit_stages) <= set(many.exit_stages)
    kept = [many.exit_stages.index(stage) for stage in fewer.exit_stages]
    assert torch.equal(fewer(X), many(X)[:, kept])
    if wanted > 1:
        assert fewer.policy.thresholds == tuple(many.policy.thresholds[exit] for exit in kept[:-1])
        assert max(np.diff([0.0, *exit_costs(fewer)])) < 2.5 / wanted
    export_onnx(fewer, tmp_path / "n.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx")
    for x in X:
        exit = session.run(["exit"], {"images": x[None].numpy()})[0]
        assert int(exit[0]) == int(fewer.predict(x[None]).exits)


@pytest.mark.parametrize("depth", [8, 14, 38])
def test_stages_as_models_of_their_own_answer_as_the_network_does(depth, tmp_path):
    whole = network(depth)
    paths = export_stages(whole, tmp_path / "stages")
    sessions = [onnxruntime.InferenceSession(path) for path in paths]
    assert len(sessions) == whole.num_exits
    for x in X:
        said = whole.predict(x[None])
        given = x[None].numpy()
        asked = 0
        for session in sessions:
            asked += 1
            names = [output.name for output in session.get_outputs()]
            answer = dict(zip(names, session.run(names, {session.get_inputs()[0].name: given}), strict=True))
            if "left" not in answer or answer["left"][0]:
                break
            given = answer["features"]
        assert asked == int(said.exits) + 1 and int(answer["label"][0]) == int(said.labels)
        np.testing.assert_allclose(answer["probabilities"], said.probabilities.numpy(), atol=1e-5)


def test_the_command_writes_fewer_exits_and_stages(many, tmp_path, run):
    save_network(many, tmp_path / "n.safetensors")
    fewer = run("export", tmp_path / "n.safetensors", "--exits", 10, "--out", tmp_path / "n.onnx")
    assert fewer.code == 0 and "OpenVINO" not in fewer.out
    stages = run("export", tmp_path / "n.safetensors", "--exits", 4, "--stages", "--out", tmp_path / "parts")
    assert stages.code == 0 and "4 ONNX models, stage0.onnx to stage3.onnx" in stages.out
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [f"stage{n}.onnx" for n in range(4)]
    again = run("export", tmp_path / "n.safetensors", "--stages", "--out", tmp_path / "parts")
    assert again.code == 2 and "is there already" in again.err


@pytest.mark.parametrize("wanted", [0, 20, -1])
def test_exits_that_are_not_there_cannot_be_kept(wanted, many):
    with pytest.raises(ExitprintError, match="this network has 19 exits"):
        with_fewer_exits(many, wanted)
