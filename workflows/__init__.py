"""When it happens: one durable workflow for each subscription."""
