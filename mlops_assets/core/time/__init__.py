"""When: windows, ranges of days, declared events, quiet hours."""
