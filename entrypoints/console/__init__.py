"""The customer console (My Product)."""
