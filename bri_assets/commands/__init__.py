"""Groups of ``bri``'s commands, a module each with a ``typer.Typer`` named ``app`` that ``cli`` mounts.

What belongs here: options, wrong usage, exit statuses, and the order in which a command calls on others. What does
not: the work itself (the layers below ``session``) and how things look (``display``).
"""
