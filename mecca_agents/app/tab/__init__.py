"""The state behind one open page, without a word about how it looks."""
