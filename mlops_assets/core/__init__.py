"""The pure half: frames, arrays and values in, values out. No Dagster, MLflow or Feast, no files, no wall clock."""
