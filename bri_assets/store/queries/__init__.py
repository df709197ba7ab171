"""Reads of what is committed, as an agent asks for them: typed answers, each with its version and its evidence.

``queries.Queries`` is the door. Nothing here changes a row. What does not belong here: search by words or meaning
(``bri_assets.search``), what became of uploads for a person (``store.reads``), the agent's memory (``store.memory``).
"""
