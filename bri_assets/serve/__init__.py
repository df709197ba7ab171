"""Servers: the owner of the store, and what keeps it running.

What does not belong here: what an operation does (``store``).
"""
