"""Experiments on what methods learn: the commands behind the tables of docs/results.md and docs/choices.md."""
