"""Tests of the `worksub` command, run as a subprocess."""
