"""The liquidation stream: what venues report as it happens, from the socket to the database."""
