"""Operators: small functions over `on_next`, one idea per file; import them from `bourn`."""
