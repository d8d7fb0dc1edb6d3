"""Storage of runs: artifacts, manifests, logs, tags and code packages, in a directory or in S3."""
