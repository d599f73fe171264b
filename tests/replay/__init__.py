"""Histories of every kind of life, recorded by each release, and what today's code makes of them."""
