"""The rules of the product, each proved by tests that carry its number."""
