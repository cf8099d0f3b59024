"""Tables of files that anybody may hand in: Parquet and CSV, types and sizes."""
