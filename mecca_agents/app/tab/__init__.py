"""What belongs to one open page, without a word about how it looks."""
