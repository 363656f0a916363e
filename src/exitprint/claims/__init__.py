"""A claim that a judge can check: commit, audit, pack."""

from __future__ import annotations

from exitprint.claims.commit import check_claim, commit
from exitprint.claims.signing import load_claim
from exitprint.claims.statement import Claim

__all__ = ["Claim", "check_claim", "commit", "load_claim"]
