"""docs/benchmarks.md is written from the results of the benchmarks. Nothing is timed here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCUMENT = BENCHMARKS.parent / "docs" / "benchmarks.md"
MACHINE = {
    "cpu": "a processor", "cores": 2, "memory_gb": 8.0, "os": "Linux", "python": "3.11.7",
    "versions": {"chdb": "4.4.0"}, "load_before": 0.1, "date": "2026-01-31 10:15 UTC",
    "command": "benchmarks/some.py --rounds 3",
}  # fmt: skip


def result(name: str, verdict: str = "holds", *rows: dict[str, Any]) -> dict[str, Any]:
    """What a benchmark writes."""
    return {
        "name": name, "claim": f"The claim of {name}.", "verdict": verdict, "base": "the smallest",
        "note": "", "rows": rows, "machine": MACHINE,
    }  # fmt: skip


def sized(case: str, value: float, ratio: float | None, size: int | None = None) -> dict[str, Any]:
    """A row of a result."""
    return {"case": case, "value": value, "unit": "rows", "ratio": ratio, "size": size}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """The document as it is, where it may be changed."""
    path = tmp_path / "docs" / "benchmarks.md"
    path.parent.mkdir()
    path.write_text(DOCUMENT.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def publish(
    tmp_path: Path, document: Path, *results: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    """Run publish.py over some results."""
    directory = tmp_path / "results"
    directory.mkdir(exist_ok=True)
    for found in results:
        (directory / f"{found['name']}.json").write_text(json.dumps(found), encoding="utf-8")
    command = [sys.executable, str(BENCHMARKS / "publish.py"), str(directory)]
    return subprocess.run(
        [*command, "--document", str(document)], capture_output=True, text=True, check=False
    )


def test_results_become_tables_and_plots(tmp_path: Path, document: Path) -> None:
    outbox = result(
        "outbox",
        "holds",
        sized("rows read for it", 7000, 1.0, 100_000),
        sized("rows read for it", 7100, 1.014, 1_000_000),
    )
    peers = result("peers", "holds", sized("sender", 5000.4, None), sized("SDK client", 0.5, 0.1))
    done = publish(tmp_path, document, peers, outbox)
    assert done.returncode == 0, done.stderr
    text = document.read_text(encoding="utf-8")
    assert "| rows read for it, 1,000,000 events | 7,100 rows | 1.01 x |" in text
    assert "| sender | 5,000 rows |  |" in text
    assert text.index("### outbox") < text.index("### peers")
    assert text.count("a processor, 2 cores") == 1
    for plot in ("benchmarks-scale.svg", "benchmarks-peers.svg"):
        assert f"]({plot})" in text
        assert "<svg" in (document.parent / plot).read_text(encoding="utf-8")


def test_a_second_time_replaces_the_results_and_keeps_the_frame(
    tmp_path: Path, document: Path
) -> None:
    frame = document.read_text(encoding="utf-8").partition("## Results")[0]
    publish(tmp_path, document, result("cycle", "holds", sized("all", 1, None)))
    publish(tmp_path, document, result("cycle", "holds", sized("all", 2, None)))
    text = document.read_text(encoding="utf-8")
    assert text.startswith(frame)
    assert "| all | 1 rows" not in text
    assert "| all | 2 rows" in text


def test_a_claim_that_fails_is_named(tmp_path: Path, document: Path) -> None:
    done = publish(tmp_path, document, result("cycle", "fails"), result("memory"))
    assert done.returncode == 1
    assert "cycle" in done.stderr
    assert "memory" not in done.stderr


def test_without_results_nothing_is_changed(tmp_path: Path, document: Path) -> None:
    before = document.read_text(encoding="utf-8")
    done = publish(tmp_path, document)
    assert done.returncode == 1
    assert "make bench" in done.stderr
    assert document.read_text(encoding="utf-8") == before
