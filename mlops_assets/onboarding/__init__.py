"""From a table to a monitored model: `mlops new-model`.

    asked.py        what a person said
    reading/        the files as one table, and what can be counted in it
    times.py        which columns are times, and how the rows lie in one; event_time.py: which one a row is about
    labels.py       which column is the label, and what task it makes; late.py: labels in files of their own
    columns.py      what each column is by its facts: number, category, moment, id
    identity.py     what identifies rows and whom they are about
    suspects.py     columns that tell the label by themselves, or came after it
    odd/            what is hardly what it seems: sentinels, spellings, units, rows and columns that are there twice
    ranges.py       where numbers usually lie, for the contract
    assumptions.py  what was assumed about the whole table, and what to look at
    plan.py         everything that was decided
    values.py       the plan in the words of YAML and SQL
    files.py        the files, from `templates/`; written all or none, nothing overwritten
    landing.py      the rows cut into the files that the landing sensor takes in

`projects/` makes the project that they go into, and brings an older one to today: `mlops init`, `mlops upgrade`.

Read in this order. The files are the person's from then on: nothing here is asked again once they exist.
"""
