"""How sure a number is: metrics, intervals, tests and comparisons on the same rows."""
