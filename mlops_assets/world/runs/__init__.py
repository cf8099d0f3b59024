"""Dagster's runs: their history, and which of them this process is there for."""
