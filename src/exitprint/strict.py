"""The base of every record that is read from a file, which may be anybody's."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Checked by its types when it is made; nothing unknown is let in, and nothing is changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")
