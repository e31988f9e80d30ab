"""Alert rules in the database: what they say, where they stand, what happened, on what they look."""
