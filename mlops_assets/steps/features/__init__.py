"""Features: bringing them online, their code, the look-ahead guard, the report on a change."""
