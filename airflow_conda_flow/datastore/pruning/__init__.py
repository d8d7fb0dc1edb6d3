"""Removal of old runs, and of what no run refers to any more."""
