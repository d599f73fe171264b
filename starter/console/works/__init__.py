"""NAVER WORKS Admin: a small stand-in for the product itself."""
