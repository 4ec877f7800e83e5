"""A trained agent and a person, on one scan (`InteractiveSession`), and what is kept of that."""

