"""What is odd about a table, named with rows or days: sentinels, spellings, units, copies. Not here: leakage (`suspects`)."""
