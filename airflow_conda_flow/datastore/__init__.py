"""Where runs are kept: storages, artifacts, manifests and code packages."""
