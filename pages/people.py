"""Everyone who may use the dashboard: their roles, their sessions, and invitations."""

from core.ui.people_view import draw_people
from core.ui.session import require_user
from core.ui.states import store_failures_shown

person = require_user("admin", write=True)
with store_failures_shown():
    draw_people(person)
