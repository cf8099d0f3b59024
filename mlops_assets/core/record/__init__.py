"""What stands on record, as plain values, and incidents."""
