"""Versions that were superseded, as Parquet files below ``archive/``; and files that no version names any more.

What does not belong here: removing what somebody asked to forget (``erasure``).
"""
