"""What people look at: plots, tables, pages, and their templates. Numbers in, text out; no file."""
