"""Search over what is seen and said: by words, by meaning, or by both, with an index beside the store.

The index is derived from the store and can always be made again; what is shown is always the store's word. What does
not belong here: questions about a time, an object or a video (``store.queries``), and how an answer travels
(``serve``). Heavy libraries (lancedb, torch) are imported inside functions.
"""
