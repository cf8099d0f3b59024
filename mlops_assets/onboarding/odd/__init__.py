"""What is odd about a table, named with rows or days: sentinels, spellings, units. Not here: leakage (`suspects`)."""
