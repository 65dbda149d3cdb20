"""What Segment's ingestion drops, case by case."""

from typing import Any

import pytest

from sandbox.segment import rules

USER = {"userId": "1"}
TRACK = {**USER, "event": "Order Completed"}


def consent(preferences: Any) -> dict[str, Any]:
    return {
        "anonymousId": "a",
        "event": "Segment Consent Preference Updated",
        "context": {"consent": {"categoryPreferences": preferences}},
    }


CONSENT = consent({"Advertising": False})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("identify", USER),
        ("identify", {"anonymousId": "a"}),
        ("identify", {**USER, "anonymousId": None, "traits": {}}),
        ("track", TRACK),
        ("track", {**TRACK, "properties": {"currency": "not a currency", "total": "text"}}),
        ("track", {**TRACK, "timestamp": "not a time"}),
        ("track", {**TRACK, "messageId": "m" * 100}),
        ("track", CONSENT),
        ("page", USER),
        ("screen", {**USER, "name": "Home", "category": "Shop", "properties": {}}),
        ("group", {**USER, "groupId": "g", "traits": {}}),
        ("alias", {**USER, "previousId": "p"}),
    ],
)
def test_published(call: str, message: dict[str, Any]) -> None:
    assert rules.ingest_code(call, message) is None


@pytest.mark.parametrize(
    ("code", "call", "message"),
    [
        ("no_user_anon_id", "identify", {}),
        ("no_user_anon_id", "track", {"event": "x", "userId": None, "anonymousId": None}),
        ("id_not_string", "identify", {"userId": ""}),
        ("id_not_string", "identify", {"userId": 7}),
        ("id_not_string", "identify", {"userId": "1", "anonymousId": ["a"]}),
        ("event_not_defined", "track", USER),
        ("event_not_defined", "track", {**USER, "event": None}),
        ("event_not_defined", "track", {**USER, "event": ""}),
        ("event_not_string", "track", {**USER, "event": 5}),
        ("properties_not_object", "track", {**TRACK, "properties": []}),
        ("properties_not_object", "track", {**TRACK, "properties": None}),
        ("properties_not_object", "page", {**USER, "properties": "x"}),
        ("traits_not_object", "identify", {**USER, "traits": "x"}),
        ("traits_not_object", "group", {**USER, "groupId": "g", "traits": []}),
        ("name_not_string", "page", {**USER, "name": 1}),
        ("category_not_string", "screen", {**USER, "category": 1}),
        ("id_required", "group", USER),
        ("id_not_string", "group", {**USER, "groupId": ""}),
        ("id_required", "alias", USER),
        ("id_required", "alias", {"anonymousId": "a", "previousId": "p"}),
        ("name_not_string", "screen", {**USER, "name": ""}),
        ("category_not_string", "page", {**USER, "category": ""}),
        ("consent_needs_anonymous_id_set", "track", {**CONSENT, "anonymousId": None}),
        ("anonymous_id_invalid", "track", {**CONSENT, "anonymousId": ""}),
        ("consent_categoryprefences_should_exist", "track", {**CONSENT, "context": {}}),
        ("consent_categorypreferences_should_be_object", "track", consent([])),
        ("consent_categorypreferences_fields_should_be_bool", "track", consent({"a": "yes"})),
        (
            "device_advertisingid_should_be_string",
            "track",
            {**CONSENT, "context": {"device": {"advertisingId": 5}}},
        ),
        ("bad_request", "track", {**TRACK, "messageId": "m" * 101}),
        ("bad_request", "track", {**TRACK, "messageId": 12}),
        ("bad_request", "trakc", TRACK),
        ("bad_request", None, TRACK),
        ("bad_request", ["track"], TRACK),
        ("bad_request", "track", "not an object"),
    ],
)
def test_dropped(code: str, call: Any, message: Any) -> None:
    assert rules.ingest_code(call, message) == code
    assert code in rules.CODES


@pytest.mark.parametrize(
    ("code", "of_messages"),
    [
        (None, [None, None]),
        ("empty_batch", []),
        ("empty_batch_result", ["id_not_string", "bad_request"]),
        ("multi_user_error", [None, "bad_request"]),
    ],
)
def test_batch_code(code: str | None, of_messages: list[str | None]) -> None:
    assert rules.batch_code(of_messages) == code
