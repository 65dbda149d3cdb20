"""Text from outside, made safe to show."""

import pytest

from luigi_tasks.plain_text import for_page, has_control_character, plain, plain_lines
from tests.unit.hostile_text import ENDLESS, HOSTILE, MARKUP, TAG, assert_plain


@pytest.mark.parametrize("make", [plain, plain_lines, for_page])
def test_hostile_text_becomes_visible_and_short(make: object) -> None:
    assert callable(make)
    assert_plain(make(ENDLESS))
    assert len(make(ENDLESS)) < 2500
    assert MARKUP in make(HOSTILE)


def test_one_line_stays_one_line() -> None:
    assert "\n" not in plain(HOSTILE)
    assert plain("a\r\nb\tc") == r"a\r\nb\tc"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202e", r"\u202e"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    "name", ["Müller, Zoë", "李小龍", "می‌خواهم", "👩‍🚀", "O\u2019Neill", "a\u00a0b", "C:\\temp"]
)
def test_names_stay_as_they_are(name: str) -> None:
    assert plain(name) == name


def test_further_lines_are_indented_once() -> None:
    shown = plain_lines("first\nERROR: second")
    assert shown == "first\n    ERROR: second"
    assert plain_lines(shown) == shown


def test_a_page_gets_no_tag() -> None:
    assert TAG not in for_page(TAG)
    assert not set("<>") & set(for_page(HOSTILE))


@pytest.mark.parametrize(("text", "has"), [("retail\r", True), ("a\x1b", True), ("Zoë 李", False)])
def test_control_characters_are_found(text: str, has: bool) -> None:
    assert has_control_character(text) is has
