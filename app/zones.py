"""Time zones by name."""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

# Listed among the zones, but they name no place; the first is this machine's own setting.
_NOT_PLACES = frozenset({"localtime", "posixrules", "Factory"})
_names = cache(available_timezones)


def zone(name: str) -> ZoneInfo:
    """An IANA time zone.

    Raises:
        ValueError: there is none of this name.
    """
    # The list first: ZoneInfo opens what it is given and fails in five ways for paths, folders and odd bytes.
    if name in _NOT_PLACES or name not in _names():
        raise ValueError("must be an IANA time zone, such as Europe/Berlin")
    return ZoneInfo(name)


def check_zone(name: str) -> str:
    """`zone` as a validator: the name itself.

    Raises:
        ValueError: as `zone`.
    """
    zone(name)
    return name
