"""Every study by name; each is declared in a module of its own."""

from __future__ import annotations

from exitprint.errors import ExitprintError
from exitprint_studies.ours.contrast import STUDY as CONTRAST
from exitprint_studies.ours.error_rates import STUDY as ERROR_RATES
from exitprint_studies.ours.exits_from_time import STUDY as EXITS_FROM_TIME
from exitprint_studies.ours.forgeries import STUDY as FORGERIES
from exitprint_studies.ours.front_door import STUDY as FRONT_DOOR
from exitprint_studies.ours.less_transfer import STUDY as LESS_TRANSFER
from exitprint_studies.ours.panel import STUDY as PANEL
from exitprint_studies.ours.paper_well_trained import STUDY as PAPER_WELL_TRAINED
from exitprint_studies.ours.remote import STUDY as REMOTE
from exitprint_studies.ours.same_maker import STUDY as SAME_MAKER
from exitprint_studies.ours.stealing import STUDY as STEALING
from exitprint_studies.ours.strength import STUDY as STRENGTH
from exitprint_studies.paper import STUDIES as PAPER
from exitprint_studies.study import Study

OURS = (
    CONTRAST,
    ERROR_RATES,
    EXITS_FROM_TIME,
    FORGERIES,
    FRONT_DOOR,
    LESS_TRANSFER,
    PANEL,
    PAPER_WELL_TRAINED,
    REMOTE,
    SAME_MAKER,
    STEALING,
    STRENGTH,
)
STUDIES: dict[str, Study] = {study.name: study for study in (*OURS, *PAPER)}


def study_named(name: str) -> Study:
    """The study of this name.

    Raises
    ------
    ExitprintError
        If there is none.
    """
    if name not in STUDIES:
        raise ExitprintError(f"unknown study {name!r}: use one of {', '.join(STUDIES)}.")
    return STUDIES[name]
