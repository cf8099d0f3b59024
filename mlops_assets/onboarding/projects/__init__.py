"""Projects of a person's own beside the installed library.

new_project.py  its files, from `project/`: `mlops init`
upgrade.py      one of an older library, brought to today's: `mlops upgrade`; `former/` has what was written before
"""
