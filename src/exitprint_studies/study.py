"""What a study is: a name, the networks it needs, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from exitprint.errors import ExitprintError
from exitprint_studies.population.declare import Spec
from exitprint_studies.population.jobs import InThisProcess, Plan, plan, stoppable
from exitprint_studies.population.store import Store

Preset = Literal["laptop", "gpu", "paper"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


@dataclass(frozen=True)
class Run:
    """One run of a study.

    Attributes
    ----------
    preset
        Its size.
    out
        Folder for its results, which exists.
    store
        Where networks and other artefacts are kept and found again.
    data_dir
        Folder of data sets, as `load_data` takes it.
    pool
        Where jobs run.
    present
        Whether to make no network and use those that are there.
    rehearsal
        Whether to make few networks, hardly trained, to see that all goes through.
    """

    preset: Preset
    out: Path
    store: Store
    data_dir: Path | None = None
    pool: Executor = field(default_factory=InThisProcess)
    present: bool = False
    rehearsal: bool = False


@dataclass(frozen=True)
class Study:
    """A study by name.

    Attributes
    ----------
    name
        What `exitprint study` calls it.
    summary
        One line on what it shows.
    networks
        The networks that it needs at a preset, none where it trains none.
    make
        Makes them, measures, and writes its results into the run's folder; returns the files, the page first.
    presets
        The sizes that it comes in.
    partial_runs
        Whether it can be made from some of its networks, and rehearsed with few.
    """

    name: str
    summary: str
    networks: Callable[[Preset], Sequence[Spec]]
    make: Callable[[Run], Sequence[Path]]
    presets: tuple[Preset, ...] = ("laptop",)
    partial_runs: bool = False

    def plan(self, preset: Preset, store: Store) -> Plan:
        """What making its networks would cost; nothing is made.

        Raises
        ------
        ExitprintError
            If it does not come in this size.
        """
        self._check(preset)
        return plan(self.networks(preset), store)

    def run(self, run: Run) -> Sequence[Path]:
        """Make everything and return the files, the page first.

        Raises
        ------
        ExitprintError
            If it does not come in this size or cannot be made from some of its networks, or as training, tampering and
            writing do.
        Interrupted
            On Ctrl-C; what was finished is kept.
        """
        self._check(run.preset)
        for asked, option in ((run.present, "--present"), (run.rehearsal, "--rehearse")):
            if asked and not self.partial_runs:
                raise ExitprintError(f"study {self.name} needs all of its networks: leave {option} out.")
        with stoppable():
            return self.make(run)

    def _check(self, preset: Preset) -> None:
        if preset not in self.presets:
            raise ExitprintError(f"study {self.name} comes at preset {' or '.join(self.presets)}, and not {preset}.")
