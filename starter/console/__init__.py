"""My Product in the browser: what the product guide describes, step by step."""
