"""Chaos: real subscriptions on real servers that are killed meanwhile, judged from the outside."""
