"""What a setting may be: ranges of numbers and of lengths of time."""
