"""A judge's panel: networks that he trains or brings, of which he knows that they are not copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exitprint.claims.statement import Digest
from exitprint.data import ImageData
from exitprint.errors import ExitprintError, Interrupted, told
from exitprint.files import file_digest, read_header, write_bytes
from exitprint.networks import architecture, save_network
from exitprint.progress import progress
from exitprint.training import leaving_policy, recipe, train_network
from exitprint.training.recipe import Preset

MANIFEST = "panel.json"
ARCHITECTURES = ("resnet20", "vgg11", "mobilenet", "resnet32", "branchynet")
"""What a panel is made of where nothing else is said, in turns."""
LEAVE = 0.5
"""Share of images that leave in the first half of a panel network's cost, so that its time depends on the input."""


class Member(BaseModel):
    """One network of a panel.

    Attributes
    ----------
    name
        Of its file, without the ending.
    arch, width, seed
        How it is trained.
    sha256
        Of its file; None until it is trained.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[\w.-]+$")
    arch: str
    width: int | None
    seed: int
    sha256: Digest | None = None


class Panel(BaseModel):
    """What a panel is made of: every network that was planned, trained or not.

    Attributes
    ----------
    data, images, preset, epochs
        What they are trained on and how.
    leave
        Share of images that leave each network in the first half of its cost.
    networks
        In the order of training.
    """

    model_config = ConfigDict(extra="forbid")

    data: str
    images: int
    preset: Preset
    epochs: int | None
    leave: float
    networks: list[Member]

    def write(self, folder: Path) -> None:
        """Write the manifest."""
        write_bytes(folder / MANIFEST, (self.model_dump_json(indent=1) + "\n").encode())


def planned(
    data: ImageData,
    networks: int,
    archs: Sequence[str] = ARCHITECTURES,
    width: int | None = None,
    preset: Preset = "fast",
    epochs: int | None = None,
    leave: float = LEAVE,
    seed: int = 0,
) -> Panel:
    """A panel that is still to be trained: architectures in turns, each network with a seed of its own.

    Inputs leave every network early and late in shares that tell them apart by time: a network that sends all of them
    to one exit could never be claimed, and would be no control.

    Raises `ExitprintError` if an architecture cannot be built for these images, or cannot be trained so.
    """
    if networks < 1:
        raise ExitprintError(f"a panel needs at least one network, and not {networks}.")
    if not 0 < leave < 1:
        raise ExitprintError(f"{leave:g} is no share of images that leave early: choose one between 0 and 1, as 0.5.")
    members = []
    for number in range(networks):
        arch = archs[number % len(archs)]
        built = architecture(arch, data.input_shape, data.classes, width=width)
        built.backbone()
        recipe(preset, built.family, data.name, epochs, len(data.train))
        members.append(Member(name=f"{number + 1:02d}-{arch}", arch=arch, width=width, seed=seed + number))
    return Panel(data=data.name, images=len(data.train), preset=preset, epochs=epochs, leave=leave, networks=members)


def train_panel(plan: Panel, data: ImageData, folder: Path) -> Panel:
    """Train what is not trained yet of a plan, so that a killed run goes on; nothing finished is trained again.

    Networks and manifest go into the folder. Raises `ExitprintError` if it cannot be made or holds another panel, or a
    network of it was changed; `Interrupted` on Ctrl-C.
    """
    with told(f"cannot make the folder {str(folder)!r} ({{why}}): choose another --out.", OSError):
        folder.mkdir(parents=True, exist_ok=True)
    panel = plan
    if (folder / MANIFEST).exists():
        panel = load_panel(folder)
        untrained = [each.model_copy(update={"sha256": None}) for each in panel.networks]
        if panel.model_copy(update={"networks": untrained}) != plan:
            raise ExitprintError(f"{str(folder)!r} holds another panel: choose another --out, or ask for the same one.")
    panel.write(folder)
    with progress("training the panel (networks)", len(panel.networks)) as advance:
        for number, member in enumerate(panel.networks):
            try:
                if member.sha256 is None:
                    member.sha256 = _train(member, panel, data, folder)
                    panel.write(folder)
            except KeyboardInterrupt as stop:
                done = f"{number} of {len(panel.networks)} networks are in {str(folder)!r}"
                raise Interrupted(f"stopped; {done}, and the same command goes on.") from stop
            advance(1)
    members(folder)
    return panel


def _train(member: Member, panel: Panel, data: ImageData, folder: Path) -> str:
    """Train one network, and give the SHA-256 of its file."""
    path = folder / f"{member.name}.safetensors"
    arch = architecture(member.arch, data.input_shape, data.classes, width=member.width)
    how = recipe(panel.preset, arch.family, data.name, panel.epochs, len(data.train))
    network = train_network(arch, data, how, member.seed, checkpoint=folder / f".{member.name}.partial")
    network.policy = leaving_policy(network, data.calibration, panel.leave, network.policy.rule)
    save_network(network, path)
    return file_digest(path)


def load_panel(folder: Path) -> Panel:
    """A panel's manifest.

    Raises `ExitprintError` if it is missing or damaged.
    """
    with told(f"{str(folder / MANIFEST)!r} is no manifest of a panel: train one (panel).", (OSError, ValidationError)):
        return Panel.model_validate_json((folder / MANIFEST).read_bytes())


def members(folder: Path) -> dict[str, str]:
    """SHA-256 of every network of a panel by its name: those of the manifest, and those that were brought besides.

    Raises `ExitprintError` if there is none, a file is no network, or one of the manifest is not trained, is missing or
    was changed.
    """
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        if read_header(path)["kind"] != "network":
            raise ExitprintError(f"{str(path)!r} is no network: take it out of the panel.")
        found[path.stem] = file_digest(path)
    if (folder / MANIFEST).exists():
        for member in load_panel(folder).networks:
            if member.sha256 is None:
                raise ExitprintError(f"the panel's network {member.name!r} is not trained yet: go on (panel).")
            if member.name not in found:
                raise ExitprintError(f"the panel's network {member.name!r} is missing: it was hidden.")
            if found[member.name] != member.sha256:
                raise ExitprintError(f"the panel's network {member.name!r} is not the one that was trained.")
    if not found:
        raise ExitprintError(f"there is no network in {str(folder)!r}: train a panel (panel), or bring networks.")
    return found
