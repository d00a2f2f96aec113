"""Runs in a database: SQLite in a folder of the project, or PostgreSQL by URL."""
