"""The Rules page: alert rules written, tried on what is stored, and kept in versions."""
