"""MLflow: the store, the registry, runs, and the files of models."""
