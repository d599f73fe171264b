"""Domain model and business rules of a NAVER WORKS subscription. Pure: no clock, no I/O, no Temporal."""
