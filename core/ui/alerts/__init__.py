"""The Alerts page and the bell: what fires, what happened, silences, channels and the log of changes."""
