"""The HTTP API: what `SubscriptionClient` can do, for callers in any language."""
