"""Backups, restores, drills and migrations: bringing the store back, or to another revision, without losing anything.

What does not belong here: what an event does when it happens first (the modules beside this folder).
"""
