"""Modules where Metaflow has them, for flows that import from there."""
