"""From a table to a monitored model: `mlops new-model`.

    table.py     reads a person's files and counts what is in them
    times.py     which column is the time, and how the rows lie in it
    labels.py    which column is the label, and what task it makes; late.py: labels in files of their own
    columns.py   what each column is by its facts: number, category, moment, id
    suspects.py  columns that tell the label by themselves; doubts.py: those that came after it
    odd/         what is hardly what it seems: sentinels, spellings, units, rows and columns that are there twice
    ranges.py    where numbers usually lie, for the contract
    plan.py      everything that was decided, and what was assumed
    values.py    the plan in the words of YAML and SQL
    files.py     the files, from `templates/`; written all or none, nothing overwritten
    landing.py   the rows cut into the files that the landing sensor takes in

`projects/` makes the project that they go into, and brings an older one to today: `mlops init`, `mlops upgrade`.

Read in this order. The files are the person's from then on: nothing here is asked again once they exist.
"""
