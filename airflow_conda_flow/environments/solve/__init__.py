"""Finds the packages that satisfy a spec: one file for each way to solve."""
