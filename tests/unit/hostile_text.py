"""Text as an attacker would have it shown, and what of it may reach a terminal, a log or a page."""

MARKUP = "[/v1/batch] [bold red]x [link=file:///etc/passwd]click[/link]"
CONTROLS = "\x1b]0;title\x07\x1b[2J\x9b31m\x08\x7f"
BIDI = "\u202egnp.exe\u2066\u200b\ufeff"
LINES = "one\nERROR: forged\r\u2028INFO: forged\u2029\x85\x0b"
TAG = "<img src=x onerror=alert(1)>"
HOSTILE = f"{MARKUP}{CONTROLS}{BIDI}\ud800{TAG}{LINES}"
"""Without the end; `ENDLESS` has one that would fill a log."""

ENDLESS = HOSTILE + "x" * 200_000


def assert_plain(shown: str) -> None:
    """All of it is visible, can be encoded, and no line passes for one of a log."""
    shown.encode()
    assert all(line.isprintable() for line in shown.split("\n")), repr(shown)
    assert len(shown) < 20_000
    assert not any(line.startswith(("ERROR: forged", "INFO: forged")) for line in shown.split("\n"))
