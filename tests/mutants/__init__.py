"""Planted faults: small wrong changes of the product, each with the test that must fail for it."""
