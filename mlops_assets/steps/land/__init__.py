"""Landing: files that are fetched or read from a stream, and how they are held against earlier ones."""
