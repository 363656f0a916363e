"""exitprint."""
