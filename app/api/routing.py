"""Parts of addresses that are not just any text."""

from werkzeug.routing import BaseConverter

RESERVED = ("import", "export")
"""Words that stand in the place of an id and name an action."""


class IdConverter(BaseConverter):
    """An id of the caller's, ``<id:contact_id>``: any text but the reserved words."""

    regex = rf"(?!(?:{'|'.join(RESERVED)})\Z)[^/]+"
    part_isolating = True
