"""Unit tests of the workflows."""
