"""Tests of the server for viewers."""
