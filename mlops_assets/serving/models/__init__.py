"""Serving: which models are loaded, and who answers for each."""
