"""One value: reading texts, keeping digits, names and texts as they may stand in SQL or before a person."""
