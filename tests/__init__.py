"""Tests: folders mirror the packages; `support` holds what they share, `conformance` the contracts over every id."""
