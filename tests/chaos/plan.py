"""What a chaos run will do, drawn from its seed before it begins: the same seed, the same plan."""

import random
from dataclasses import dataclass

SMALL = (80, 12.0)
"""Messages and seconds of the run that the test suite can afford."""
PEOPLE = 40
LEASE_S = 12.0
"""How long a claim lasts with the provider's time-out of one second, which a run has."""
FREEZE_S = (LEASE_S + 1, LEASE_S + 8)
"""Longer than a lease, and shorter than the half minute in which nobody sends again: what a machine may do to us."""
FREEZE_EVERY_S = 45.0
"""Two freezes of the same process in a row would be one long one, for which nothing is promised."""

DISTURBANCES = (
    "kill worker",
    "kill worker",
    "kill worker",
    "kill scheduler",
    "kill scheduler",
    "kill web",
    "kill redis",
    "flush redis",
    "flush redis",
    "freeze worker",
    "freeze scheduler",
    "restart database",
)
"""One round of them; the order of each round is drawn."""
MOODS = (
    "429, come back later",
    "429",
    "500 after acceptance",
    "500 without acceptance",
    "time-out after acceptance",
    "reset after acceptance",
    "reset without acceptance",
    "half an answer after acceptance",
)


@dataclass(frozen=True, slots=True)
class Change:
    """A message is called off, or (``due_in_s``) moved, some time after it was asked for."""

    after_s: float
    due_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """One message; ``due_in_s`` counts from its request."""

    to: str
    body: str
    due_in_s: float
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client, in seconds after the start of the run."""

    at: float
    route: str
    texts: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something that happens to a process or a store. ``which`` chooses among several, ``seconds`` is how long."""

    at: float
    kind: str
    seconds: float
    which: float


@dataclass(frozen=True, slots=True)
class Mood:
    """How the provider answers the next so many requests."""

    at: float
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run, each part in the order of its time."""

    seed: int
    seconds: float
    requests: tuple[Request, ...]
    disturbances: tuple[Disturbance, ...]
    moods: tuple[Mood, ...]


def draw(seed: int, messages: int, seconds: float) -> Plan:
    """The plan of a seed: ``messages`` asked for over ``seconds``, with a disturbance every four seconds or so."""
    dice = random.Random(seed)
    bursts = sorted(dice.uniform(0.2, 1.1) * seconds for _ in range(max(2, round(seconds / 10))))
    disturbances = _disturbances(dice, seconds, bursts, max(len(set(DISTURBANCES)), round(seconds / 4)))
    moods = _moods(dice, seconds, max(len(MOODS), round(seconds / 6)), most=6 if messages > 500 else 2)
    return Plan(seed, seconds, _requests(dice, messages, seconds, bursts), disturbances, moods)


def _requests(dice: random.Random, messages: int, seconds: float, bursts: list[float]) -> tuple[Request, ...]:
    twin = ("", "")
    left, requests = messages, list[Request]()
    while left:
        at = dice.uniform(0, seconds)
        route = dice.choices(("send-sms", "schedule-delay", "schedule-until", "schedule-bulk"), (4, 4, 5, 1))[0]
        size = min(left, dice.randint(5, 25) if route == "schedule-bulk" else 1)
        texts = []
        for _ in range(size):
            due_in_s = 0.0 if route == "send-sms" else _due_in(dice, at, bursts)
            to, body = _person(dice), f"Text {left} of chaos {dice.getrandbits(32):08x}"
            if dice.random() < 0.04:
                # Equal twins: the provider's log cannot tell them apart, so they are counted together.
                twin = twin if twin[0] and dice.random() < 0.7 else (to, body)
                texts.append(Text(*twin, due_in_s))
            else:
                texts.append(Text(to, body, due_in_s, _change(dice, due_in_s)))
            left -= 1
        requests.append(Request(at, route, tuple(texts)))
    return tuple(sorted(requests, key=lambda request: request.at))


def _person(dice: random.Random) -> str:
    return f"+123456789{dice.randrange(PEOPLE):02}"


def _due_in(dice: random.Random, at: float, bursts: list[float]) -> float:
    """Some time soon, or the same instant as many others."""
    coming = [burst - at for burst in bursts if burst > at + 2]
    return coming[0] if coming and dice.random() < 0.4 else dice.uniform(1, 20)


def _change(dice: random.Random, due_in_s: float) -> Change | None:
    """One in eight is called off or moved; often at the very moment at which it is due."""
    if dice.random() > 0.125:
        return None
    after_s = max(due_in_s + dice.uniform(-0.3, 0.1), 0) if dice.random() < 0.5 else dice.uniform(0, due_in_s)
    return Change(after_s, dice.choice((None, dice.uniform(1, 12))))


def _disturbances(dice: random.Random, seconds: float, bursts: list[float], count: int) -> tuple[Disturbance, ...]:
    """Every other one hits when many messages are on their way."""
    spread = _spread(dice, seconds, count)
    times = sorted(dice.choice(bursts) + dice.uniform(0, 0.5) if dice.random() < 0.5 else at for at in spread)
    frozen_until: dict[str, float] = {}
    deck, chosen = list[str](), list[Disturbance]()
    for at in times:
        # A short run has each kind once; a long one has whole rounds.
        deck = deck or _shuffled(dice, sorted(set(DISTURBANCES)) if count <= len(set(DISTURBANCES)) else DISTURBANCES)
        kind = deck.pop()
        lasts = dice.uniform(*FREEZE_S) if kind.startswith("freeze") else dice.uniform(0.3, 3)
        which = dice.random()
        if kind.startswith("freeze"):
            if at < frozen_until.get(kind, 0):
                continue
            frozen_until[kind] = at + FREEZE_EVERY_S
        chosen.append(Disturbance(at, kind, lasts, which))
    return tuple(chosen)


def _moods(dice: random.Random, seconds: float, count: int, most: int) -> tuple[Mood, ...]:
    deck, chosen = list[str](), list[Mood]()
    for at in _spread(dice, seconds, count):
        deck = deck or _shuffled(dice, MOODS)
        chosen.append(Mood(at, deck.pop(), dice.randint(1, most)))
    return tuple(chosen)


def _spread(dice: random.Random, seconds: float, count: int) -> list[float]:
    """Times all over the run, one in each of so many equal parts, after the first second."""
    part = (seconds - 1) / count
    return [1 + (n + dice.random()) * part for n in range(count)]


def _shuffled(dice: random.Random, of: tuple[str, ...] | list[str]) -> list[str]:
    return dice.sample(of, len(of))
