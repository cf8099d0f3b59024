"""What a source promises of its rows, and whether it keeps it: contract, settings, partitions."""
