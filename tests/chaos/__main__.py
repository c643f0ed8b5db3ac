"""``./run chaos``: arguments in, verdict out; the exit code is 0 where every promise was kept."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.plan import SMALL, draw
from tests.chaos.run import run


def main() -> int:
    """Draw a plan, carry it out, print the verdict."""
    parser = argparse.ArgumentParser(prog="./run chaos", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long the disturbances go on")
    parser.add_argument("--seed", type=int, default=None, help="replay a plan")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--small", action="store_true", help="80 messages, a minute in all")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing of ours is left running
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    plan = draw(seed, *SMALL) if given.small else draw(seed, given.messages, given.minutes * 60)
    say(f"seed: {seed}")
    folder = Path(tempfile.mkdtemp(prefix="bellhop-chaos-"))
    say(f"log and data, kept unless the verdict is good: {folder}")
    verdict = run(plan, given.database, folder, say)
    for line in verdict.lines():
        say(line)
    if verdict.good:
        shutil.rmtree(folder)
    say(f"seed: {seed}")
    return 0 if verdict.good else 1


def say(line: str) -> None:
    """One line for the terminal, at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
