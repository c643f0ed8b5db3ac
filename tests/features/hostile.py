"""Values that no field of a message may take, by the name of the field."""

from typing import Any

URL = "https://example.com/a.png"


def in_digits(zero: str, text: str) -> str:
    """A text with its ASCII digits written in another script's, given by that script's zero."""
    return "".join(chr(ord(zero) + int(c)) if c.isdecimal() else c for c in text)


FULLWIDTH, ARABIC, DEVANAGARI = "\uff10", "\u0660", "\u0966"

NO_TEXT: list[Any] = [None, True, False, 0, 1, -1, 1.5, [], {}, "a\0b", "\0", "\ud800", "a\udc00", "\ude00\ud83d"]

ADDRESSES: list[Any] = [
    *NO_TEXT,
    *("", " ", "+", "+1", "+0123456789", "12345678901", "0012345678901", "++12345678901", "+-12345678901"),
    *("+1234567890123456", "+" + "1" * 100_000, "+1 234 567 8901", "+1-234-567-8901", "+1(234)5678901"),
    *("+12345678901\n", "\n+12345678901", " +12345678901", "+12345678901 ", "+12345678901\r\n", "+12345678901\u200b"),
    *(in_digits(zero, "+12345678901") for zero in (FULLWIDTH, ARABIC, DEVANAGARI)),
    *("\uff0b12345678901", "+1\u00b2345678901", "+1234567890x", "a@example.com", "+12345678901,+12345678902"),
    *("tel:+12345678901", "sms:+12345678901", "WhatsApp:+12345678901", "whatsapp:", "whatsapp:+"),
    *("whatsapp:12345678901", "whatsapp: +12345678901", "whatsapp:whatsapp:+12345678901"),
    *(["+12345678901"], {"phone": "+12345678901"}, 12345678901),
]

BODIES: list[Any] = [
    *NO_TEXT,
    *("", " ", "\n\t ", "a" * 1601, "\u00e9" * 1601, "\U0001f600" * 801, "a" + "\U0001f600" * 800, "a" * 100_000),
]

MEDIA: list[Any] = [
    *(None, True, False, 0, 1, 1.5, {}, [None], [1], [[URL]], {"url": URL}, [URL] * 11, [URL, "javascript:alert(1)"]),
    *("", [""], " ", "a", "/a.png", "//example.com/a.png", "example.com/a.png", "http:", "http://", "https:///a.png"),
    *("javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", "vbscript:x", "data:image/png;base64,AA"),
    *("ftp://example.com/a.png", "file:///etc/passwd", "gopher://example.com", "http:example.com", "http:/example.com"),
    *("https://exa mple.com/a.png", "https://example.com/a b.png", f" {URL}", f"{URL} ", f"{URL}\n", "ht\ntp://a.b/c"),
    *("http://[::1/a.png", "http://[]/a.png", f"{URL}\0", [f"{URL}\0"], f"{URL}\ud800", f"{URL}\u200b", f"{URL}\x07"),
    *("https://example.com/" + "a" * 2048, f"https://\u202e{URL}"),
]

WORKSPACES: list[Any] = [
    *NO_TEXT,
    *(
        "",
        " ",
        "ws salon",
        "ws_salon\n",
        " ws_salon",
        "ws/salon",
        "../ws",
        "w\u00df",
        "x" * 65,
        "\uff57s",
        ["ws_salon"],
    ),
]

TIMES: list[Any] = [True, 0, 1778601600, "1778601600", "", "x", [], {}, "2026-05-12T16:00:00", "2026-02-30T16:00:00Z"]

REFUSED: dict[str, list[Any]] = {
    "to": ADDRESSES,
    "fromNumber": [value for value in ADDRESSES if value is not None],
    "body": BODIES,
    "mediaUrl": MEDIA,
    "workspaceId": WORKSPACES,
    "validUntil": [*TIMES, "2026-05-11T11:00:00Z", "2026-05-11T12:00:00Z", "9999-12-31T23:59:59Z"],
    "metadata": [None, True, 1, "x", [], [{}], {"a": "\0"}, {"\0": 1}, {"a": {"b": ["\ud800"]}}, {"a\udc00": 1}],
}
