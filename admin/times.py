"""Times as the workspace's own clock shows them, with the instant in the mark-up."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from app import clock

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def zone(name: str) -> ZoneInfo:
    """A zone by name; UTC where the name has left the tz database."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError):
        return ZoneInfo("UTC")


def day_text(at: datetime, where: ZoneInfo, now: datetime) -> str:
    """The day as one says it: nothing for today, ``Tue 12 May``, and the year where it is another one."""
    local, today = at.astimezone(where).date(), now.astimezone(where).date()
    if local == today:
        return ""
    return f"{local:%a} {local.day} {local:%b}" + (f" {local.year}" if local.year != today.year else "")


def since_text(at: datetime, where: ZoneInfo, now: datetime) -> str:
    """``09:12``, or ``Tue 12 May, 09:12`` where that was not today."""
    day = day_text(at, where, now)
    return f"{day}, {at.astimezone(where):%H:%M}" if day else f"{at.astimezone(where):%H:%M}"


def relative(at: datetime, now: datetime) -> str:
    """``in 5 min``, ``2 h ago``."""
    distance = abs(at - now)
    if distance < MINUTE:
        return "now"
    if distance < HOUR:
        text = f"{distance // MINUTE} min"
    elif distance < 36 * HOUR:
        text = f"{round(distance / HOUR)} h"
    else:
        text = f"{round(distance / DAY)} days"
    return f"in {text}" if at > now else f"{text} ago"


def moment(at: datetime, zone_name: str, *, seconds: bool = False, name_zone: bool = False) -> Markup:
    """A ``<time>`` element, and how far away that is; with the zone's name where the page shows several."""
    where, now = zone(zone_name), clock.now()
    local = at.astimezone(where)
    text = f"{day_text(at, where, now) or 'today'}, {local.strftime('%H:%M:%S' if seconds else '%H:%M')}"
    far = f"{relative(at, now)}, {where.key}" if name_zone else relative(at, now)
    return Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} ({})">{}</time> <span class="far">{}</span>').format(
        local.isoformat(timespec="seconds"), local, where.key, text, far
    )
