"""Looking for what is wrong: each look compares what there is and yields findings; nothing here tells a person.

What does not belong here: the rules' names and meanings (``findings``), the outbox (``store.outbox``), delivery
(``alerts``).
"""
