"""Old names that stand in files. Here: names under which MLflow finds our loader. Not here: anything new."""
