"""A cell made small, to try a study out before it is paid for: the same code and architectures, hardly trained."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

from exitprint.training import HeadRecipe, Recipe
from exitprint_studies.paper.cells import Cell, Effort
from exitprint_studies.population.declare import Calibrated, Member, Role, Source, Spec, Trained

IMAGES, EPOCHS, BATCH = 1000, 4, 50
EFFORT = Effort(samples=10, steps=20, baseline_steps=20, otherwise=0.5)


def rehearsed(cell: Cell) -> Cell:
    """The target, the first independent and the first stolen copy, and what the baseline needs, one of each.

    Networks keep their architecture and learn from 1,000 images for 4 epochs; ten images are crafted in 20 steps.
    """
    return replace(
        cell,
        data=_data(cell.data),
        members=tuple(
            _small(member) for role in ("target", "independent", "stolen") for member in _first(cell.members, role)
        ),
        more=(),
        surrogates=tuple(_briefly(spec) for spec in cell.surrogates[:1]),
        references=tuple(_briefly(spec) for spec in cell.references[:1]),
        effort=replace(EFFORT, epsilon=cell.effort.epsilon),
    )


def _first(members: tuple[Member, ...], role: Role) -> list[Member]:
    return list(islice((member for member in members if member.role == role), 1))


def _small(member: Member) -> Member:
    return member.model_copy(update={"network": _briefly(member.network)})


def _data(source: Source) -> Source:
    return source.model_copy(update={"limit": min(source.limit or IMAGES, IMAGES)})


def _briefly(spec: Spec) -> Spec:
    if isinstance(spec, Trained):
        return spec.model_copy(update={"data": _data(spec.data), "recipe": _short(spec.recipe)})
    parent = _briefly(spec.parent)
    if isinstance(spec, Calibrated):
        return spec.model_copy(update={"parent": parent})
    parameters: dict[str, Any] = dict(spec.parameters)
    if "epochs" in parameters:
        parameters["epochs"] = 1
    if "heads" in parameters:
        heads = HeadRecipe.model_validate(parameters["heads"])
        parameters["heads"] = _short_heads(heads).model_dump(mode="json")
    return spec.model_copy(update={"parent": parent, "parameters": parameters})


def _short(recipe: Recipe) -> Recipe:
    backbone = recipe.backbone.model_copy(update={"epochs": EPOCHS, "milestones": None, "batch": BATCH})
    return Recipe(backbone=backbone, heads=_short_heads(recipe.heads))


def _short_heads(heads: HeadRecipe) -> HeadRecipe:
    return heads.model_copy(update={"epochs": EPOCHS, "milestones": None, "batch": BATCH})
