"""The reads of what is committed."""
