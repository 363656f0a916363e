"""References that the asker brought: what they come to is computed again where their networks are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from exitprint.claims.register import Begun
from exitprint.errors import ExitprintError
from exitprint.files import file_digest
from exitprint.fingerprints import Fingerprint
from exitprint.fingerprints.verify import asked_references
from exitprint.networks import load_network
from exitprint.suspects import CostModel

ROUNDING = 0.01
"""Largest difference between two machines: an input whose certainty is at the threshold may leave elsewhere."""


def check_references(
    files: Sequence[Path], begun: Sequence[Begun], fingerprints: Mapping[str, Fingerprint]
) -> tuple[str, ...]:
    """Compute again what references come to, and give the names of those whose networks are not among the files.

    References are those that the asker brought to the verifications that were begun; `fingerprints` are the opened
    ones, by commitment. Raises `ExitprintError` if a file is no such reference, or comes to something else than the
    register says.
    """
    at_hand = {file_digest(path): path for path in files}
    brought = list(dict.fromkeys((each.fingerprint, one) for each in begun for one in each.references))
    for digest, path in at_hand.items():
        if digest not in {one.sha256 for _, one in brought}:
            raise ExitprintError(f"{str(path)!r} is no reference of this claim: it is another network, or was changed.")
    for committed, one in brought:
        if one.sha256 in at_hand and committed in fingerprints:
            suspect = CostModel(load_network(at_hand[one.sha256]))
            (found,) = asked_references(fingerprints[committed], {one.name: suspect})
            if abs(found.share[0] - one.share) > ROUNDING:
                raise ExitprintError(
                    f"the reference {one.name!r} comes to {found.share[0]:.2f} of the pairs, and the register says "
                    f"{one.share:.2f}: it was edited."
                )
    return tuple(dict.fromkeys(one.name for _, one in brought if one.sha256 not in at_hand))
