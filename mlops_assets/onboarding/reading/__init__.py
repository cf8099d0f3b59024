"""A person's files as one table.

loading.py        the files as a DuckDB relation, cell by cell as they stand
parquet_parts.py  several Parquet files as the rows of one table
texts.py          what columns of text are: times, numbers, or texts
exact_types.py    each column as one of few types, without losing a digit
table.py          the table, and what can be counted in it
places.py         where a row stands: `row 5 of t.csv (line 6)`
"""
