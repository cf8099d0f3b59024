"""The record of decisions: entries, the chain of hashes, the Dagster resource."""
