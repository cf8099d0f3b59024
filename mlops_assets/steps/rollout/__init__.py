"""Rolling out and going back: one measurement, one move."""
