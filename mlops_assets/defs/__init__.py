"""What exists: sources and monitored models in YAML."""
