"""Backups of an installation, and bringing one back."""
