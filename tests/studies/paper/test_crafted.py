"""Fingerprints of the paper's study, crafted once."""

from __future__ import annotations

import pytest
from declared import small

from exitprint.errors import ExitprintError
from exitprint.fingerprints import crafting
from exitprint_studies import Member
from exitprint_studies.paper.cells import Cell, Effort
from exitprint_studies.paper.crafted import craft
from exitprint_studies.population.store import Store


@pytest.mark.parametrize(("stopped_by", "is_final"), [(KeyboardInterrupt, False), (ExitprintError, True)])
def test_only_a_refusal_is_kept_and_not_ctrl_c(tmp_path, monkeypatch, stopped_by, is_final):
    spec = small(0)
    target = Member(name="target", role="target", group="target", network=spec)
    cell = Cell("resnet", spec.data, (target,), (), (), (), Effort(samples=4))
    store = Store(tmp_path)

    def stopped(*given, **more):
        raise stopped_by("there is none")

    monkeypatch.setattr(crafting, "optimise", stopped)
    if is_final:
        assert craft(cell, "contrast", store) is None
    else:
        with pytest.raises(KeyboardInterrupt):
            craft(cell, "contrast", store)
    assert len(list(tmp_path.rglob("*.refused"))) == is_final
