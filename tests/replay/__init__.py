"""Histories of every scenario, recorded by each release, and their replay with the current code."""
