"""Status repositories: in memory and in an SQL database."""
