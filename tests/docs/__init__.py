"""Consistency tests of the documentation, the compose file and the Makefile with the code."""
