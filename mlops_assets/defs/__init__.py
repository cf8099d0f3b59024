"""What exists and when: sources and monitored models in YAML, the dbt project, Feast's online store, the sensors."""
