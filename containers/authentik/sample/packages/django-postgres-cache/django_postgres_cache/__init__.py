"""A cache in the database."""
