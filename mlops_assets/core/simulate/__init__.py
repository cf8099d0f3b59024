"""Lives on paper: policies run through history in memory."""
