"""Segment's limits, and what its ingestion drops after the 200.

The codes are the "failed on ingest" discard reasons of Segment's delivery overview. What is not in
that list is not checked there either: names and types of properties, currencies, totals, times,
e-mail addresses. docs/sandbox-segment.md names the public source of each rule.
"""

from typing import Any

MAX_BODY_BYTES = 500_000
"""One request. "500 KB" is read strictly, as 500,000 bytes after decompression."""

MAX_MESSAGE_BYTES = 32 * 1024
"""One message, alone or within a batch."""

MAX_BATCH_EVENTS = 2_500
"""Above it the answer is still 200, and every event of the request is dropped."""

MAX_MESSAGE_ID_CHARS = 100

CONSENT_EVENT = "Segment Consent Preference Updated"

CALLS = ("identify", "track", "page", "screen", "group", "alias")

TOO_MANY_EVENTS = "too_many_events"
USER_SUPPRESSED = "user_suppressed"
PROJECT_NOT_FOUND = "project_not_found"
SOURCE_DISABLED = "source_disabled"
EMPTY_BATCH = "empty_batch"
EMPTY_BATCH_RESULT = "empty_batch_result"
MULTI_USER_ERROR = "multi_user_error"
BAD_REQUEST = "bad_request"

CODES = {
    "no_user_anon_id": "The message has neither a userId nor an anonymousId.",
    "id_required": "The call lacks the id it is about (groupId, previousId or userId).",
    "id_not_string": "An id is empty or not a string.",
    "event_not_defined": "A track call has no event name.",
    "event_not_string": "The event name is not a string.",
    "properties_not_object": "properties is not a JSON object.",
    "traits_not_object": "traits is not a JSON object.",
    "name_not_string": "The name of a page or screen is empty or not a string.",
    "category_not_string": "The category of a page or screen is empty or not a string.",
    "consent_needs_anonymous_id_set": "A consent event has no anonymousId.",
    "anonymous_id_invalid": "The anonymousId of a consent event is empty or not a string.",
    "consent_categoryprefences_should_exist": "A consent event has no categoryPreferences.",
    "consent_categorypreferences_should_be_object": "categoryPreferences is not a JSON object.",
    "consent_categorypreferences_fields_should_be_bool": "A consent category is not true or false.",
    "device_advertisingid_should_be_string": "An advertisingId is not a string.",
    PROJECT_NOT_FOUND: "The write key belongs to no source.",
    SOURCE_DISABLED: "The source of the write key is switched off.",
    USER_SUPPRESSED: "The user is suppressed; Segment shows no trace of such a message.",
    TOO_MANY_EVENTS: f"The request held more than {MAX_BATCH_EVENTS:,} events.",
    BAD_REQUEST: "Not a message: no known type, not an object, or an unusable messageId.",
    EMPTY_BATCH: "The request held no messages.",
    EMPTY_BATCH_RESULT: "No message of the request was fit to be published.",
    MULTI_USER_ERROR: "Some messages of the request were dropped, the others published.",
}
"""Every code with its meaning, spelt as Segment spells it. ``too_many_events`` and
``user_suppressed`` are the sandbox's own names: Segment has none."""


def ingest_code(call: Any, message: Any) -> str | None:
    """Says whether ingestion would drop a message.

    Args:
        call: The message's type, or the name of the single-call endpoint.
        message: The parsed message.

    Returns:
        The "failed on ingest" code, or None when the message is published.
    """
    if not isinstance(message, dict) or call not in CALLS:
        return BAD_REQUEST
    return (
        _message_id_code(message.get("messageId"))
        or _consent_code(call, message)
        or _user_code(message)
        or _call_code(call, message)
    )


def batch_code(codes: list[str | None]) -> str | None:
    """Sums up the codes of a request's messages as the code of the request."""
    if not codes:
        return EMPTY_BATCH
    if all(codes):
        return EMPTY_BATCH_RESULT
    return MULTI_USER_ERROR if any(codes) else None


def _message_id_code(message_id: Any) -> str | None:
    if message_id is None:
        return None
    usable = isinstance(message_id, str) and len(message_id) <= MAX_MESSAGE_ID_CHARS
    return None if usable else BAD_REQUEST


def _user_code(message: dict[str, Any]) -> str | None:
    # Segment's own SDKs send "anonymousId": null, so null counts as absent.
    ids = [message.get("userId"), message.get("anonymousId")]
    present = [value for value in ids if value is not None]
    if any(_id_code(value) for value in present):
        return "id_not_string"
    return None if present else "no_user_anon_id"


def _id_code(value: Any) -> str | None:
    if value is None:
        return "id_required"
    return None if isinstance(value, str) and value else "id_not_string"


def _call_code(call: str, message: dict[str, Any]) -> str | None:
    if call == "track":
        return _event_code(message.get("event")) or _object_code(message, "properties")
    if call == "identify":
        return _object_code(message, "traits")
    if call == "group":
        return _id_code(message.get("groupId")) or _object_code(message, "traits")
    if call == "alias":
        return _id_code(message.get("previousId")) or _id_code(message.get("userId"))
    return _text_code(message, "name") or (
        _text_code(message, "category") or _object_code(message, "properties")
    )


def _event_code(event: Any) -> str | None:
    if event is None or event == "":
        return "event_not_defined"
    return None if isinstance(event, str) else "event_not_string"


def _object_code(message: dict[str, Any], field: str) -> str | None:
    return None if isinstance(message.get(field, {}), dict) else f"{field}_not_object"


def _text_code(message: dict[str, Any], field: str) -> str | None:
    value = message.get(field)
    usable = value is None or (isinstance(value, str) and value)
    return None if usable else f"{field}_not_string"


def _consent_code(call: Any, message: dict[str, Any]) -> str | None:
    if call != "track" or message.get("event") != CONSENT_EVENT:
        return None
    anonymous_id = message.get("anonymousId")
    if anonymous_id is None:
        return "consent_needs_anonymous_id_set"
    if _id_code(anonymous_id):
        return "anonymous_id_invalid"
    context = _object(message.get("context"))
    if not isinstance(_object(context.get("device")).get("advertisingId", ""), str):
        return "device_advertisingid_should_be_string"
    return _preferences_code(_object(context.get("consent")).get("categoryPreferences"))


def _preferences_code(preferences: Any) -> str | None:
    if preferences is None:
        return "consent_categoryprefences_should_exist"
    if not isinstance(preferences, dict):
        return "consent_categorypreferences_should_be_object"
    if not all(isinstance(value, bool) for value in preferences.values()):
        return "consent_categorypreferences_fields_should_be_bool"
    return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
