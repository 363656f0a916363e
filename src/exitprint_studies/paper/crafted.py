"""The fingerprints of a cell, each an artefact of the store: the paper's, the contrast and the baseline's."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from exitprint.data import ImageData, unit_range
from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints import (
    ContrastMethod,
    Fingerprint,
    PaperMethod,
    contrast_fingerprint,
    load_fingerprint,
    paper_fingerprint,
    save_fingerprint,
)
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.training import calibrated_policy
from exitprint.training.compute import on_best_device
from exitprint_studies.conferrable import conferrable_fingerprint, load_labels, save_labels
from exitprint_studies.paper.cells import Cell, Effort
from exitprint_studies.population.declare import realise
from exitprint_studies.population.store import Store

Method = Literal["paper", "paper, stopped early", "contrast", "baseline"]
METHODS: tuple[Method, ...] = get_args(Method)
VERSIONS: dict[Method, int] = {"paper": 1, "paper, stopped early": 3, "contrast": 5, "baseline": 1}
"""Each is raised whenever the method would craft something else from the same networks by the same parameters."""
CRAFTING: dict[Method, Callable[..., Any]] = {
    "paper": paper_fingerprint,
    "paper, stopped early": paper_fingerprint,
    "contrast": contrast_fingerprint,
    "baseline": conferrable_fingerprint,
}
KEPT_AS = {
    "margin_log_odds": "margin",
    "extreme_share": "choice",
    "candidates_per_sample": "candidates",
    "step_l2": "length",
    "reference_weight": "reluctance",
    "adam_learning_rate": "adam",
    "margin_certainty": "margin",
}
"""Names of parameters in the keys of the store, where they differ: a new name does not make a file a new one."""
CALIBRATED_FOR = (15.0, 5.0, 0.0)
ROOM = 0.05


@dataclass(frozen=True)
class Images:
    """Crafted images and what they were crafted from, uint8, shape (samples, channels, height, width)."""

    samples: Tensor
    originals: Tensor

    @property
    def change(self) -> Tensor:
        """x′ − x of each, pixels in [0, 1], shape (samples, pixels)."""
        return (unit_range(self.samples) - unit_range(self.originals)).flatten(1)


class _Refused(ExitprintError):  # noqa: N818
    """There is no contrast for this target."""


def craft(cell: Cell, method: Method, store: Store, data_dir: Path | None = None) -> Path | None:
    """The file of a cell's fingerprint by this method, crafted first if need be, or None where a contrast is refused.

    Raises
    ------
    ExitprintError
        If no fingerprint of another kind can be crafted for the target, or it cannot be written.
    """
    key = _key(cell, method)
    refused = store.path(key, ".refused")
    if refused.is_file():
        return None
    try:
        return store.get(key, lambda path: _make(cell, method, store, path, data_dir))
    except _Refused as why:
        write_bytes(refused, str(why).encode())
        return None


def crafting_seconds(cell: Cell, method: Method, store: Store) -> float:
    """CPU seconds that crafting it took, 0 where that is unknown."""
    return store.seconds(_key(cell, method)) or 0.0


def digest_of(path: Path) -> str:
    """Hash of a file: what was measured with one fingerprint is not taken for another's."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def crafted_images(path: Path, method: Method) -> Images:
    """The images of a fingerprint's file."""
    found = load_labels(path) if method == "baseline" else load_fingerprint(path, inf)
    return Images(found.samples, found.originals)


def strictest_policy(network: MultiExitNetwork, data: ImageData, otherwise: float | None = None) -> ExitPolicy:
    """The policy of the largest of RAD = 15, 5 and 0 at which T_c lies so high that an image can stay below it.

    Raises
    ------
    ExitprintError
        If there is none, and no T_c to take `otherwise`.
    """
    for rad in CALIBRATED_FOR:
        policy = calibrated_policy(network, data.calibration, rad)
        if min(policy.thresholds) > 1 / network.classes + ROOM:
            return policy
    if otherwise is not None:
        return ExitPolicy(otherwise)
    raise ExitprintError("every image leaves the target at its first exit, so none can be made slow: train it longer.")


def _key(cell: Cell, method: Method) -> dict[str, Any]:
    defaults = {name: each.default for name, each in inspect.signature(CRAFTING[method]).parameters.items()}
    key: dict[str, Any] = {
        "fingerprint": method,
        "version": VERSIONS[method],
        "defaults": {name: value for name, value in defaults.items() if isinstance(value, int | float)},
        "target": cell.target.key,
        "samples": cell.effort.samples,
    }
    if method == "contrast":
        key["method"] = _as_kept(ContrastMethod())
    if method.startswith("paper"):
        key["defaults"] |= _as_kept(PaperMethod())
        key["steps"] = cell.effort.steps
    if method == "baseline":
        key |= {
            "steps": cell.effort.baseline_steps,
            "epsilon": cell.effort.epsilon,
            "surrogates": [spec.key for spec in cell.surrogates],
            "references": [spec.key for spec in cell.references],
        }
    return key


def _as_kept(how: ContrastMethod | PaperMethod) -> dict[str, Any]:
    return {KEPT_AS.get(name, name): value for name, value in asdict(how).items()}


def _make(cell: Cell, method: Method, store: Store, path: Path, data_dir: Path | None) -> None:
    network = on_best_device(realise(cell.target, store, data_dir))
    data = cell.data.load(data_dir)
    effort = cell.effort
    if method == "baseline":
        surrogates, references = (
            [on_best_device(realise(spec, store, data_dir)) for spec in specs]
            for specs in (cell.surrogates, cell.references)
        )
        conferrable = conferrable_fingerprint(
            network,
            surrogates,
            references,
            data.test,
            effort.samples,
            steps=effort.baseline_steps,
            epsilon=effort.epsilon,
        )
        save_labels(conferrable, path)
        return
    save_fingerprint(_by_time(network, data, method, effort), path, inf)


def _by_time(network: MultiExitNetwork, data: ImageData, method: Method, effort: Effort) -> Fingerprint:
    if method == "contrast":
        policies = [network.policy, *(calibrated_policy(network, data.calibration, rad) for rad in (0.0, 15.0))]
        try:
            return contrast_fingerprint(network, data.test, policies, effort.samples, seed=0)
        except ExitprintError as why:
            raise _Refused(str(why)) from why
    policy = strictest_policy(network, data, effort.otherwise)
    early = method == "paper, stopped early"
    how = PaperMethod(steps=effort.steps, stop_early=early)
    return paper_fingerprint(network, data.test, [policy], effort.samples, method=how, check=False)
