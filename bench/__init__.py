"""Ratios against peers, each side measured in the same run."""
