"""What has landed: the sources together, their files' way into the lake, and what each partition is made of."""
