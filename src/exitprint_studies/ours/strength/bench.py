"""Where the networks, fingerprints and thefts of `study strength` are found or made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import cast

from exitprint.data import ImageData
from exitprint.fingerprints import (
    Fingerprint,
    contrast_fingerprint,
    default_policies,
    load_fingerprint,
    save_fingerprint,
    strength,
)
from exitprint.fingerprints.exits_anew import sets_of_exits
from exitprint.fingerprints.shares import Rule
from exitprint.fingerprints.thefts import FEW_IMAGES, FEWER, MORE, OWN, PART, SDN, new_exits
from exitprint.networks import MultiExitNetwork, load_network, save_network
from exitprint.tampering import tamper
from exitprint.threads import single_thread
from exitprint.training import policy_with_room
from exitprint_studies.ours.makers import Workshop
from exitprint_studies.ours.strength.cases import SAMPLES, Case, Network, name_of
from exitprint_studies.ours.third_party import Adopted
from exitprint_studies.population.declare import BASE_RAD, realise
from exitprint_studies.study import Run

VERSION, TABLE = 1, 8
"""Raised whenever the same declaration would be crafted or stolen, or its thefts simulated, otherwise than before."""
POOL, LEAVE = 1000, 0.4
HAPPENS: dict[str, tuple[str, dict[str, object]] | None] = {
    "": None,
    "pruned by 20 %": ("prune", {"rate": 0.2, "retrain_heads": False}),
    "pruned by 40 %": ("prune", {"rate": 0.4, "retrain_heads": False}),
    "in 8 bits": ("quantise", {"retrain_heads": False}),
    "fine-tuned 2 epochs": ("finetune", {"epochs": 4, "retrain_heads": False}),
    "adversarially trained": (
        "adversarial",
        {"epochs": 1, "learning_rate": 1e-4, "epsilon": 2 / 256, "steps": 5, "retrain_heads": False},
    ),
}
"""What happens to the backbone, by what was simulated."""
OF_EXITS: dict[str, tuple[str, dict[str, object]]] = {
    f"{SDN}, {FEW_IMAGES}": ("retrain-exits", {"kind": "sdn", "share": 1 / PART}),
    f"{OWN}, {FEW_IMAGES}": ("retrain-exits", {"kind": "own", "share": 1 / PART}),
    FEWER: ("remove-exits", {"every": 2}),
    MORE: ("add-exits", {}),
}
"""What else happens to the exits, by what was simulated."""
OTHER_THEFTS: dict[str, tuple[str, dict[str, object]]] = {
    "by margin": ("change-criterion", {"criterion": "margin", "rad": BASE_RAD}),
}
"""Thefts of which `fingerprint` says nothing."""
SAME_MAKER = {
    SDN: "ICs retrained",
    f"pruned by 20 %, {SDN}": "pruned 0.2, new ICs",
    f"pruned by 40 %, {SDN}": "pruned 0.4, new ICs",
    f"in 8 bits, {SDN}": "8-bit, new ICs",
    f"fine-tuned 2 epochs, {SDN}": "fine-tuned 2 epochs, new ICs",
    f"adversarially trained, {SDN}": "adversarially trained, new ICs",
}
"""What was simulated, and the copies of `study same-maker` on which the same was done, from seeds of their own."""
Step = tuple[dict[str, object], str, dict[str, object]]
"""Of a theft: key of the result, kind of tampering, parameters."""


@dataclass(frozen=True)
class Bench:
    """Where a case's networks, fingerprint and suspects are found or made."""

    run: Run
    kept: dict[str, MultiExitNetwork] = field(default_factory=dict, compare=False)
    """Networks that were asked for, by their declaration."""

    def images(self, spec: Network) -> ImageData:
        """What the network's owner has; the first test images are the pool."""
        return spec.images(self.run.data_dir) if isinstance(spec, Adopted) else spec.data.load(self.run.data_dir)

    def network(self, spec: Network) -> MultiExitNetwork:
        """The network, under the policy that it was calibrated for, or one that tells images apart."""
        name = spec.model_dump_json()
        if name not in self.kept:
            self.kept[name] = self._network(spec)
        return self.kept[name]

    def _network(self, spec: Network) -> MultiExitNetwork:
        if isinstance(spec, Adopted):
            return spec.realise(self.run.store, self.run.data_dir)
        network = realise(spec, self.run.store, self.run.data_dir)
        network.policy = policy_with_room(network, self.images(spec).calibration, BASE_RAD, LEAVE, network.policy.rule)
        return network

    def can(self, spec: Network) -> bool:
        """Whether the network is there or may be made."""
        return not self.run.present or self.run.store.has(spec.key)

    def can_copy(self, spec: Network, change: str, exits: str | None, seed: int) -> bool:
        """The same of what a thief makes."""
        wanted = self.steps(spec, change, exits, seed)
        return not self.run.present or all(self.run.store.has(key) for key, _, _ in wanted)

    def can_craft(self, case: Case) -> bool:
        """The same of a case's fingerprint with its table."""
        known = all(self.can(spec) for spec in (case.target, *case.references))
        return known and (not self.run.present or self.run.store.has(self.key(case) | {"table": TABLE}))

    def steps(self, spec: Network, change: str, exits: str | None, seed: int) -> list[Step]:
        """What a thief does, one after the other."""
        done = {**HAPPENS, **OF_EXITS, **OTHER_THEFTS}[change]
        wanted = [done] if done else []
        if exits:
            wanted.append(("retrain-exits", dict(new_exits(self.network(spec))[exits])))
        steps: list[Step] = []
        key: dict[str, object] = {"stolen": VERSION, "from": spec.key, "seed": seed}
        for kind, parameters in wanted:
            key = {**key, "done": [*cast(list[object], key.get("done", [])), kind, parameters]}
            steps.append((key, kind, {"rad": None, **parameters}))
        return steps

    def copy(self, spec: Network, change: str, exits: str | None, seed: int) -> MultiExitNetwork:
        """What a thief makes: something done to the backbone, and new exits or those that there are."""
        network, data = self.network(spec), self.images(spec)
        for key, kind, parameters in self.steps(spec, change, exits, seed):
            make = partial(self._steal, network, data, kind, parameters, seed)
            network = load_network(self.run.store.get(key, make))
        return network

    def of_same_maker(self, spec: Adopted, theft: str) -> MultiExitNetwork:
        """A copy of `study same-maker`, with the owner's thresholds."""
        network = Workshop(self.run.store, self.run.data_dir).network(spec, theft)
        network.policy = self.network(spec).policy
        return network

    def _steal(
        self, network: MultiExitNetwork, data: ImageData, kind: str, parameters: dict[str, object], seed: int, to: Path
    ) -> None:
        with single_thread():
            save_network(tamper(network, data, kind, parameters, seed), to)

    def rules(self, case: Case) -> list[Rule]:
        """How each network gets its policies: those that `fingerprint` takes where none are named."""
        data = self.images(case.target)
        return default_policies("contrast", self.network(case.target), data.test[:POOL], data.calibration)

    def fingerprint(self, case: Case) -> Fingerprint:
        """The fingerprint with its table of simulated thefts, from the store or made now."""

        def simulate(to: Path) -> None:
            made = load_fingerprint(self.run.store.get(self.key(case), partial(self._craft, case)))
            network, data = self.network(case.target), self.images(case.target)
            with single_thread():
                save_fingerprint(replace(made, strength=strength(made, network, data, self.rules(case))), to)

        return load_fingerprint(self.run.store.get(self.key(case) | {"table": TABLE}, simulate))

    def _craft(self, case: Case, to: Path) -> None:
        network, data = self.network(case.target), self.images(case.target)
        known = {name_of(each): self.network(each) for each in case.references}
        with single_thread():
            made = contrast_fingerprint(
                network,
                data.test[:POOL],
                self.rules(case),
                case.samples,
                references=known,
                check=False,
                copies=sets_of_exits(network, data, case.new_exits, seed=0),
            )
        save_fingerprint(made, to)

    def key(self, case: Case) -> dict[str, object]:
        """Everything that a case's samples depend on."""
        return {
            "crafted for strength": VERSION,
            "target": case.target.key,
            "references": [each.key for each in case.references],
            **({"samples": case.samples} if case.samples != SAMPLES else {}),
            **({"new exits": case.new_exits} if case.new_exits else {}),
        }
