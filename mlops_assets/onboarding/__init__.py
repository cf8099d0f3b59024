"""From a table to a monitored model: `mlops new-model`.

    table.py     reads a person's files and counts what is in them
    columns.py   what each column is: time, label, key, number, category, id, known too late
    suspects.py  columns that tell the label by themselves
    plan.py      everything that was decided, and what was assumed
    files.py     the YAML and SQL of a plan, from `templates/`; written whole, nothing overwritten
    landing.py   the rows cut into the files that the landing sensor takes in

Read in this order. The files are the person's from then on: nothing here is asked again once they exist.
"""
