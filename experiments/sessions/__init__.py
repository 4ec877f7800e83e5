"""What trained runs are worth to a person who works with a session: by kinds of prompts, from masks, in pictures."""
