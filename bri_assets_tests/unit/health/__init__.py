"""Looks for what is wrong: found while it holds, and no longer."""
