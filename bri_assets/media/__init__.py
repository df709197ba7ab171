"""Pure functions over media files: fingerprint, probe, sample frames, store images, decode sound.

Belongs here: reading what an upload holds and writing frame images, with PyAV, OpenCV and imagehash, which are
imported inside the functions so that importing the package stays cheap. Does not belong here: Dagster, DuckDB,
models, and any decision about what happens to a file.
"""
