"""Giving disk space back: a new, small database that holds the same takes the old one's place."""
