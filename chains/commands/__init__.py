"""The commands that a person may give to a workflow, one in each module."""
