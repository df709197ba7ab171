"""Benchmarks: what the package costs, measured on the machine at hand; see README.md beside.

What does not belong here: whether it works, which is for the tests to say.
"""
