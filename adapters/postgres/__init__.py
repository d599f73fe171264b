"""PostgreSQL: pools, migrations, repositories and outboxes."""
