"""What several looks at one champion say together: their gains as one series, and how sure such a gain is."""
