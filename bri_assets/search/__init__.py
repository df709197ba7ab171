"""Search over captions and transcripts, by words and by meaning: an index derived from the store, and ways without it.

What does not belong here: reads that need no ranking (``store.queries``) and the model itself (``models.embedder``).
"""
