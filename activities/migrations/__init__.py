"""The schema, as plain SQL in order. A published file is never changed; the next one amends it."""
