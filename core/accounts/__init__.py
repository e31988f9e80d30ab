"""People, their roles and passwords, and the sessions in which they use the dashboard."""

from core.accounts.people import ROLES, Person, Role, may

__all__ = ["ROLES", "Person", "Role", "may"]
