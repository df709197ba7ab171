"""Asset checks, one file a subject: what is checked, and how a verdict looks to a person.

A check is evaluated where its asset is made, so that a wrong result is never marked as materialized.
"""
