"""How the platform touches the world: files, DuckDB, MLflow, Feast; one ConfigurableResource per outside system."""
