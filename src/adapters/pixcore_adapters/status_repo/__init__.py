"""Status repositories: one in memory, and one in an SQL database."""
