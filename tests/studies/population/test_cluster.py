"""A study on a real Ray cluster: the same files as in this process, errors as sentences, nothing left running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exitprint.cli.study import study as study_verb
from exitprint.errors import ExitprintError
from exitprint.training import policy_accuracy
from exitprint_studies import Spec, Store, executor, realise, realise_all, run_jobs, write_parquet
from exitprint_studies.population.cluster import gpu_share
from exitprint_studies.population.declare import Source

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def not_after_everybody_else() -> Iterator[None]:
    """Ray's workers run at the lowest priority but one, and other tests beside these ones would keep them waiting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        yield


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes with one worker each, in processes of this machine that can import this file."""
    from ray.cluster_utils import Cluster

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]))
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes.add_node(num_cpus=1)
        yield nodes.address
    finally:
        nodes.shutdown()
        monkeypatch.undo()


def row(item: tuple[Spec, Store]) -> dict[str, Any]:
    """What a table would say of a network."""
    spec, store = item
    network = realise(spec, store)
    accuracy = policy_accuracy(network, Source(name="digits", limit=400).load().test)
    return {"network": spec.model_dump_json(), "accuracy": accuracy, "T_c": network.policy.thresholds[0]}


def refuse(item: int) -> None:
    raise ExitprintError(f"not {item}.")


def where(item: int) -> str:
    return str(ray.get_runtime_context().get_node_id())


def end(item: int) -> None:
    os._exit(1)


def table(specs: list[Spec], out: Path, pool: Any) -> bytes:
    store = Store(out / "store")
    realise_all(specs, store, pool=pool)
    write_parquet(run_jobs(row, [(spec, store) for spec in specs], pool, "measuring"), out / "table.parquet")
    return (out / "table.parquet").read_bytes()


def test_two_workers_give_the_table_of_one_process(
    specs: list[Spec], address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with executor() as pool:
        alone = table(specs, tmp_path / "alone", pool)
    with executor(ray=address) as pool:
        assert len(set(run_jobs(where, range(40), pool, "asking where"))) == 2
        assert table(specs, tmp_path / "cluster", pool) == alone
        with pytest.raises(ExitprintError, match=r"^not 1\.$"):
            run_jobs(refuse, [1, 2], pool, "refusing")
        with pytest.raises(ExitprintError, match="job on the Ray cluster was lost"):
            run_jobs(end, [1], pool, "dying")
    assert not ray.is_initialized()
    made = {path.name: path.read_bytes() for path in (tmp_path / "alone").rglob("*.safetensors")}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "cluster").rglob("*.safetensors")}
    assert capfd.readouterr().out == ""


def test_a_cluster_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ExitprintError, match="not both"), executor(2, "auto"):
        pass
    with pytest.raises(ExitprintError, match="no Ray cluster can be reached"), executor(ray="127.0.0.1:1"):
        pass
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExitprintError, match=r"pip install 'exitprint\[ray\]'"):
        study_verb("exits-from-time", tmp_path, ray="local")


def test_a_gpu_is_shared_by_as_many_jobs_as_there_are_processors_for() -> None:
    assert gpu_share(16, 0) == 0
    assert gpu_share(16, 1) == 1 / 8
    assert gpu_share(8, 2) == 1 / 4
    assert gpu_share(2, 4) == 1
    assert 3 * gpu_share(3, 1) <= 1


def test_a_local_cluster_is_gone_afterwards() -> None:
    """Ray's own processes carry the session's folder in their command lines."""
    program = (
        "from exitprint_studies import executor\n"
        "with executor(ray='local') as pool:\n"
        "    import ray\n"
        "    assert pool.submit(max, 1, 2).result() == 2\n"
        "    session = ray._private.worker._global_node.get_session_dir_path()\n"
        "print(session)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    session = Path(done.stdout.strip()).name
    assert session.startswith("session_") and done.stderr == ""
    lines = [path.read_bytes().decode(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline") if _is(path)]
    assert not [line for line in lines if session in line]


def _is(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False
