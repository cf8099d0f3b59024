"""Evidence and policy in, one decision out: the rules, the probe, and what would have changed it."""
