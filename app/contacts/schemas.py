"""How people are written in requests."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

# Deliberately simple: whether an address exists, only its server knows (RFC 5321, 4.5.3.1 for the lengths).
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@(?=.{1,253}$)[^\s@.,;:<>]+(\.[^\s@.,;:<>]+)+")


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("must be an email address")
    return value.lower()


Phone = Annotated[
    str,
    StringConstraints(pattern=r"^\+[1-9][0-9]{1,14}$"),
    Field(description="A phone number in E.164 form.", examples=["+1234567890"]),
]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_email)]
