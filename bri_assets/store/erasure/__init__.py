"""What is held about one video, and removing all of it for good.

What does not belong here: hiding a video, which removes nothing (``deletion``).
"""
