"""PostgreSQL: the embedded server, connections, and migrations. Knows no table."""
