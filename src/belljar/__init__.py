"""Belljar: make model organisms in every published way, and measure all of them fairly."""
