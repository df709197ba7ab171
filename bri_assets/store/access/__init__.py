"""The way to the database: the file and its locks, the process that owns it, the journal beside it.

What does not belong here: any table but ``audit_log``, which the journal mirrors.
"""
