"""What a thief does with a network that he can only ask: copy what it says, and where it stops."""

from __future__ import annotations

from exitprint.stealing.depths import victim_depths
from exitprint.stealing.placement import place_exits
from exitprint.stealing.steal import Stolen, default_recipe, steal, substitute_architecture
from exitprint.stealing.strategy import StrategySearch, search_thresholds
from exitprint.stealing.substitute import SubstituteRecipe, TransferSet, train_substitute, with_searched_policy

__all__ = [
    "Stolen",
    "StrategySearch",
    "SubstituteRecipe",
    "TransferSet",
    "default_recipe",
    "place_exits",
    "search_thresholds",
    "steal",
    "substitute_architecture",
    "train_substitute",
    "victim_depths",
    "with_searched_policy",
]
