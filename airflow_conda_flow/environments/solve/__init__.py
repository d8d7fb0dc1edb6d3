"""From a spec to the packages that satisfy it: one file for each way to solve."""
