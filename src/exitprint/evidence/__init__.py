"""Bets: one e-process, its null hypothesis as code, and what it would need to decide. Knows numbers only.

Nothing is imported here, so that the command line can name the limits before numpy is there.
"""
