"""The console in a real browser. It needs Chromium: `make browser`."""
