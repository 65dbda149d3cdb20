"""What the mappings of a shop lack, as rows to add: `python -m luigi_tasks.mappings`.

Prints the stores, subsidiaries and currencies that documents name and the mappings do not have, as
lines of the CSV files, ready to paste. An empty field is for the shop to fill in.
"""

from __future__ import annotations

import argparse
import sys

from luigi_tasks.errors import PipelineError
from luigi_tasks.landing import mapping_files, origin
from luigi_tasks.landing.mapping_files import Row

LACKING = {
    "subsidiaries": "use_vat is 1 where prices include tax, else 0; time_zone is an IANA zone.",
    "stores": "time_zone is an IANA zone, such as Europe/Rome; needed where times have no offset.",
    "currency_names": "currency_code is an ISO 4217 code, such as USD.",
}
"""The mappings whose rows can be told from documents, and what is to be filled in."""


def missing() -> dict[str, list[Row]]:
    """Return the rows that the mappings lack, by the name of the mapping.

    Raises:
        OutboxMissingError: Nothing was built yet.
    """
    return {
        "subsidiaries": mapping_files.read_rows("missing_subsidiaries"),
        "stores": mapping_files.read_rows("missing_stores"),
        "currency_names": mapping_files.read_rows("missing_currencies"),
    }


def report(found: dict[str, list[Row]]) -> str:
    """Return the rows to add, with the file that each belongs to, as text."""
    # Whose rows were built counts, not the settings of the shell that asks.
    is_sample = origin.of_database() == "sample"
    directory = origin.SAMPLE if is_sample else mapping_files.of_shop()
    parts = [
        "\n".join([f"# {directory}/{name}.csv: {LACKING[name]}", *map(mapping_files.line, rows)])
        for name, rows in found.items()
        if rows
    ]
    if not parts:
        return "The mappings have every store, subsidiary and currency that documents name."
    return "\n\n".join(parts)


def main() -> int:
    """Print the rows; return the exit status."""
    argparse.ArgumentParser(
        prog="python -m luigi_tasks.mappings", description=(__doc__ or "").partition("\n\n")[2]
    ).parse_args()
    try:
        sys.stdout.write(report(missing()) + "\n")
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
