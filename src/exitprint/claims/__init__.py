"""A claim that a judge can check, without trusting the owner, the program or us: commit, audit, pack."""

from __future__ import annotations

from exitprint.claims.auditing import audit
from exitprint.claims.case import Case
from exitprint.claims.committing import check_claim, commit
from exitprint.claims.packing import check_pack, pack
from exitprint.claims.signing import load_claim
from exitprint.claims.statement import Claim

__all__ = ["Case", "Claim", "audit", "check_claim", "check_pack", "commit", "load_claim", "pack"]
