"""Search: what is found, and what is said where the index is not there."""
