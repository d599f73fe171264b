"""NAVER WORKS Admin: a minimal stand-in for the product."""
