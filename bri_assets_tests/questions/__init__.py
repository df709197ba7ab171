"""Questions with known answers, over clips whose content is known because they were made of it."""
