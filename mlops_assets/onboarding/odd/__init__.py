"""What is odd about a table, named with rows or days: sentinels, units, copies. Not here: leakage (`suspects`)."""
