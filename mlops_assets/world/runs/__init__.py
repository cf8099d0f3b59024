"""Dagster's runs, where other rooms need to know of them."""
