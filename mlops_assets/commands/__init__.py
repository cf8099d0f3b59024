"""The commands of `mlops`, one thin module a topic.

Here: reading arguments, calling what does the work, telling a person the outcome. Not here: any of the work.
"""
