"""The rules of a NAVER WORKS subscription: pure, with no clock, no I/O and no Temporal."""
