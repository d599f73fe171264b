"""Tests of the console in a real browser. They need Chromium: `make browser`."""
