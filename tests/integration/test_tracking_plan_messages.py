"""Every message of the sample export is valid by the tracking plan's schemas."""

import json
from collections import Counter

import jsonschema

from tests.integration.conftest import SampleBuild
from tests.processes import PROJECT

SCHEMAS = PROJECT / "docs" / "tracking-plan"


def test_every_message_of_the_sample_is_valid(sample_build: SampleBuild) -> None:
    rows = sample_build.client.query(
        "select event, message from segment_identify_events"
        " union all select event, message from segment_track_events"
    ).result_rows
    validators = {
        event: jsonschema.Draft7Validator(
            json.loads((SCHEMAS / f"{event.lower().replace(' ', '-')}.json").read_text()),
            format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER,
        )
        for event in {event for event, _ in rows}
    }
    errors = [
        f"{error.json_path}: {error.message} in {message}"
        for event, message in rows
        for error in validators[event].iter_errors(json.loads(message))
    ]
    assert errors == []
    counts = Counter(event for event, _ in rows)
    assert counts["Identify"] > 500
    assert counts["Order Completed"] > 2000
    assert counts["Order Refunded"] > 200
