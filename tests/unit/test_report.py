"""What a run reports of itself: counts, what is held, and that there was nothing new."""

import pytest

from luigi_tasks import report
from luigi_tasks.preview import dry_run
from luigi_tasks.report import Sent
from luigi_tasks.terminal import Terminal


def part(
    call: str,
    deliveries: dict[str, tuple[int, int]] | None = None,
    pending: dict[str, int] | None = None,
    held: dict[str, int] | None = None,
) -> Sent:
    """What the send tasks of a call did, in no request."""
    return Sent(call, deliveries or {}, [], 0, 0, 0, 0.0, pending or {}, held or {})


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([part("identify"), part("track")], "Nothing new: 0 accepted, 0 rejected, 0 still pending"),
        ([part("track", {"Order Completed": (2857, 0)})], "2,857 accepted, 0 rejected, 0 still"),
        ([part("track", pending={"Order Completed": 1})], "0 accepted, 0 rejected, 1 still"),
        ([part("track", {"Order Completed": (0, 1)})], "0 accepted, 1 rejected, 0 still"),
    ],
)
def test_only_an_idle_run_says_that_nothing_is_new(sent: list[Sent], expected: str) -> None:
    assert report.summary(sent).startswith(expected)


def test_what_is_held_is_counted_per_event(capsys: pytest.CaptureFixture[str]) -> None:
    sent = [
        part("identify", {"Identify": (598, 0)}, held={"Identify": 2}),
        part("track", {"Order Completed": (2259, 0)}, held={"Order Refunded": 23}),
    ]
    assert report.summary(sent) == "2,857 accepted, 0 rejected, 0 still pending, 25 held."
    Terminal().show(report.delivery_table(sent))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[-2] for row in rows if "Identify" in row] == ["2"]
    assert [row[-2] for row in rows if "Refunded" in row] == ["23"]


def test_one_line_says_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    dry_run.say_what_is_held(Terminal(), 0)
    assert capsys.readouterr().out == ""
    dry_run.say_what_is_held(Terminal(), 25)
    text = capsys.readouterr().out
    assert text.startswith("25 held")
    assert "luigi_tasks.status" in text
