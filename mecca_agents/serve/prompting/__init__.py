"""What the prompts of other programs' viewers do in a session; nothing in here knows how they arrive."""
