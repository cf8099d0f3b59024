"""A model as a value: rows, recipe, fit, search, and the families of models."""
