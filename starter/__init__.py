"""Client library: start workflows, send commands, query subscriptions, manage schedules."""
