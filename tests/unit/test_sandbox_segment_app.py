"""The Segment sandbox's endpoints, without a network."""

import base64
import gzip
import json
import time
import uuid
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.testclient import TestClient

from sandbox.segment.app import create_app
from sandbox.segment.rules import MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_MESSAGE_BYTES
from sandbox.segment.settings import Settings

SUCCESS = {"success": True}
AUTH = ("some-key", "")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(tmp_path), follow_redirects=False) as client:
        yield client


def track(message_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": "1",
        "messageId": message_id,
        **fields,
    }


def send(client: TestClient, *messages: Any, **envelope: Any) -> Any:
    return client.post("/v1/batch", json={"batch": messages, **envelope}, auth=AUTH)


def configure(client: TestClient, **settings: Any) -> None:
    answer = client.patch("/api/settings", json=settings)
    assert answer.status_code == 200, answer.text


def states(client: TestClient) -> list[tuple[str, str | None]]:
    found = client.get("/api/messages").json()["messages"]
    return [(message["state"], message["code"]) for message in found]


def last_request(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/api/requests", params={"limit": 1}).json()["requests"][0])


# --- Answers and limits


def test_a_batch_is_stored_as_it_arrived(client: TestClient) -> None:
    raw = '{"type":"track","event":"E","userId":"1","messageId":"m","properties":{"total":12.50}}'
    answer = client.post("/v1/batch", content=f'{{"batch":[{raw}]}}', auth=AUTH)
    assert answer.status_code == 200
    assert answer.json() == SUCCESS
    assert len(answer.content) == 21
    page = client.get("/api/messages")
    message = page.json()["messages"][0]
    assert message["raw"] == raw
    assert raw in page.text
    assert message["message"]["properties"]["total"] == 12.5
    assert message["request"]["messages"] == 1


@pytest.mark.parametrize("call", ["identify", "track", "page", "screen", "group", "alias"])
def test_single_calls(client: TestClient, call: str) -> None:
    body = {"userId": "1", "event": "E", "groupId": "g", "previousId": "p"}
    assert client.post(f"/v1/{call}", json=body, auth=AUTH).json() == SUCCESS
    assert client.get("/api/stats").json()["by_type"] == {call: 1}


@pytest.mark.parametrize(("path", "status"), [("/v1/import", 404), ("/v2/batch", 404)])
def test_unknown_calls(client: TestClient, path: str, status: int) -> None:
    assert client.post(path, json={}).status_code == status


def test_other_methods_are_refused(client: TestClient) -> None:
    assert client.get("/v1/batch").status_code == 405


def test_bad_json_is_refused_with_text_that_is_not_json(client: TestClient) -> None:
    answer = client.post("/v1/batch", content='{"batch": [{"total": NaN}]}', auth=AUTH)
    assert answer.status_code == 400
    assert answer.text.strip() == "Bad Request"
    assert client.get("/api/stats").json()["received"] == 0
    assert last_request(client)["detail"] == "the body is not a JSON object"


def body_of_size(size: int) -> bytes:
    batch = [track(str(n), properties={"fill": "x" * 30_000}) for n in range(16)]
    frame = len(json.dumps({"batch": batch, "fill": ""}))
    return json.dumps({"batch": batch, "fill": "y" * (size - frame)}).encode()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 400)])
def test_body_limit(client: TestClient, extra: int, status: int, packed: bool) -> None:
    body = body_of_size(MAX_BODY_BYTES + extra)
    headers = {"content-encoding": "gzip"} if packed else {}
    content = gzip.compress(body) if packed else body
    answer = client.post("/v1/batch", content=content, headers=headers, auth=AUTH)
    assert answer.status_code == status
    assert client.get("/api/stats").json()["received"] == (16 if status == 200 else 0)


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 400)])
def test_message_limit_counts_bytes_and_refuses_the_request(
    client: TestClient, extra: int, status: int
) -> None:
    frame = len(json.dumps(track("big", p="")))
    big = track("big", p="x" * (MAX_MESSAGE_BYTES - frame - 2 + extra) + "é")
    raw = json.dumps(big, ensure_ascii=False)
    assert len(raw.encode()) == MAX_MESSAGE_BYTES + extra
    good = json.dumps(track("good"))
    answer = client.post("/v1/batch", content=f'{{"batch":[{good},{raw}]}}'.encode(), auth=AUTH)
    assert answer.status_code == status
    assert client.get("/api/stats").json()["received"] == (2 if status == 200 else 0)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"not gzip", "gzip"),
        (gzip.compress(b'{"batch":[]}', mtime=0)[:-9], "gzip"),
        (b"{}", "br"),
    ],
    ids=["not gzip", "cut off", "unknown encoding"],
)
def test_unreadable_bodies(client: TestClient, content: bytes, encoding: str) -> None:
    headers = {"content-encoding": encoding}
    answer = client.post("/v1/batch", content=content, headers=headers, auth=AUTH)
    assert answer.status_code == 400


def test_too_many_events_are_answered_with_success_and_dropped(client: TestClient) -> None:
    assert send(client, *(track(str(n)) for n in range(MAX_BATCH_EVENTS))).json() == SUCCESS
    assert client.get("/api/stats").json()["unique"] == MAX_BATCH_EVENTS
    assert send(client, *(track(f"b{n}") for n in range(MAX_BATCH_EVENTS + 1))).json() == SUCCESS
    stats = client.get("/api/stats").json()
    assert stats["unique"] == MAX_BATCH_EVENTS
    assert stats["by_code"] == {"too_many_events": MAX_BATCH_EVENTS + 1}


@pytest.mark.parametrize(
    ("batch", "code"), [([], "empty_batch"), ({}, "bad_request"), (None, "bad_request")]
)
def test_odd_batches_are_answered_with_success(client: TestClient, batch: Any, code: str) -> None:
    assert client.post("/v1/batch", json={"batch": batch}, auth=AUTH).json() == SUCCESS
    assert last_request(client)["code"] == code


# --- Write keys


@pytest.mark.parametrize(
    ("headers", "fields", "how"),
    [
        ({"authorization": "Basic " + base64.b64encode(b"known:").decode()}, {}, "basic"),
        ({}, {"writeKey": "known"}, "body"),
        ({"authorization": "Bearer token"}, {"writeKey": "known"}, "bearer"),
    ],
)
def test_forms_of_write_key(
    tmp_path: Path, headers: dict[str, str], fields: dict[str, str], how: str
) -> None:
    with TestClient(create_app(tmp_path, Settings(write_keys=("known",)))) as client:
        body = {"batch": [track("m")], **fields}
        assert client.post("/v1/batch", json=body, headers=headers).json() == SUCCESS
        assert states(client) == [("accepted", None)]
        assert last_request(client)["auth"] == how


@pytest.mark.parametrize(
    "authorization", [None, "Basic " + base64.b64encode(b":").decode(), "Basic ?", "Bearer token"]
)
def test_no_write_key_is_refused(client: TestClient, authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization else {}
    answer = client.post("/v1/batch", json={"batch": [track("m")]}, headers=headers)
    assert answer.status_code == 400
    assert states(client) == []


def test_an_unknown_write_key_is_answered_with_success_and_dropped(tmp_path: Path) -> None:
    with TestClient(create_app(tmp_path, Settings(write_keys=("known",)))) as client:
        assert send(client, track("m")).json() == SUCCESS
        assert states(client) == [("dropped", "project_not_found")]
        client.post("/v1/track", json=track("m"), auth=("known", ""))
        assert states(client)[1] == ("accepted", None)


# --- Ingestion and dedupe


def test_only_the_bad_messages_of_a_batch_are_dropped(client: TestClient) -> None:
    bad = track("bad", userId="")
    assert send(client, track("a"), bad, 5, track("b")).json() == SUCCESS
    assert states(client) == [
        ("accepted", None),
        ("dropped", "id_not_string"),
        ("dropped", "bad_request"),
        ("accepted", None),
    ]
    assert last_request(client)["code"] == "multi_user_error"


def test_dedupe_is_global_by_message_id(client: TestClient) -> None:
    send(client, track("m"), track("m", event="Other"))
    client.post("/v1/identify", json={"userId": "2", "messageId": "m"}, auth=("other-source", ""))
    assert states(client) == [("accepted", None), ("duplicate", None), ("duplicate", None)]
    stats = client.get("/api/stats").json()
    assert (stats["received"], stats["unique"], stats["duplicates"]) == (3, 1, 2)
    assert stats["by_event"] == {"Order Completed": 1}


def test_a_dropped_message_does_not_use_up_its_id(client: TestClient) -> None:
    send(client, track("m", userId=""))
    send(client, track("m"))
    assert states(client) == [("dropped", "id_not_string"), ("accepted", None)]


@pytest.mark.parametrize("absent", [{}, {"messageId": None}, {"messageId": ""}])
def test_without_message_id_a_retry_is_a_second_message(
    client: TestClient, absent: dict[str, Any]
) -> None:
    message = {"type": "identify", "userId": "1", **absent}
    for _ in range(2):
        send(client, message)
    found = client.get("/api/messages").json()["messages"]
    assert [message["state"] for message in found] == ["accepted", "accepted"]
    assert len({message["messageId"] for message in found}) == 2


def test_hostile_text_is_stored(client: TestClient) -> None:
    content = '{"batch":[{"type":"track","event":"\\ud800\\u0000","userId":"\\udfff"}]}'
    assert client.post("/v1/batch", content=content, auth=AUTH).json() == SUCCESS
    assert states(client) == [("accepted", None)]


def test_dedupe_ends_with_its_window(tmp_path: Path) -> None:
    with TestClient(create_app(tmp_path, Settings(dedupe_window_s=0.2))) as client:
        send(client, track("m"))
        send(client, track("m"))
        time.sleep(0.25)
        send(client, track("m"))
        assert [state for state, _ in states(client)] == ["accepted", "duplicate", "accepted"]


# --- The workspace


def test_a_switched_off_source_drops_everything(client: TestClient) -> None:
    configure(client, disabled_keys=[AUTH[0]])
    assert send(client, track("m")).json() == SUCCESS
    assert states(client) == [("dropped", "source_disabled")]


def test_the_messages_of_suppressed_users_are_dropped(client: TestClient) -> None:
    configure(client, suppressed_users=["1"])
    assert send(client, track("a"), track("b", userId="2")).json() == SUCCESS
    assert states(client) == [("dropped", "user_suppressed"), ("accepted", None)]


def test_above_the_rate_nothing_is_taken(client: TestClient) -> None:
    configure(client, events_per_second=10)
    assert send(client, *(track(f"a{n}") for n in range(10))).json() == SUCCESS
    answer = send(client, track("b"))
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == answer.headers["x-ratelimit-reset"] == "1"
    assert last_request(client)["detail"] == "above 10 events per second"
    time.sleep(1.05)
    assert send(client, track("b")).json() == SUCCESS
    assert client.get("/api/stats").json()["unique"] == 11


def test_the_settings_of_a_source(client: TestClient) -> None:
    configure(client, write_keys=["known"], api_host="events.eu1.segmentapis.com/v1")
    answer = client.get("/v1/projects/known/settings")
    source = answer.json()["integrations"]["Segment.io"]
    assert (source["apiKey"], source["apiHost"]) == ("known", "events.eu1.segmentapis.com/v1")
    unknown = client.get("/v1/projects/unknown/settings")
    assert unknown.status_code == 404
    assert unknown.text == "Cannot GET - Invalid path or write key provided."


def test_a_source_belongs_to_this_server_unless_told_otherwise(client: TestClient) -> None:
    source = client.get("/v1/projects/any/settings").json()["integrations"]["Segment.io"]
    assert source["apiHost"] == "testserver/v1"


def test_the_date_follows_the_clock_that_is_set(client: TestClient) -> None:
    for offset in (0, 300, -300):
        configure(client, clock_offset_s=offset)
        shown = parsedate_to_datetime(client.get("/health").headers["date"]).timestamp()
        assert shown - time.time() == pytest.approx(offset, abs=2)


def test_settings_can_be_put_back(tmp_path: Path) -> None:
    with TestClient(create_app(tmp_path, Settings(write_keys=("known",)))) as client:
        configure(client, write_keys=None, events_per_second=5)
        assert client.get("/api/settings").json()["write_keys"] is None
        restored = client.delete("/api/settings").json()
        assert (restored["write_keys"], restored["events_per_second"]) == (["known"], None)


@pytest.mark.parametrize(
    "payload",
    [
        "nope",
        "[]",
        '{"rate": 5}',
        '{"events_per_second": "5"}',
        '{"events_per_second": true}',
        '{"events_per_second": -1}',
        '{"dedupe_window_s": null}',
        '{"write_keys": "k"}',
        '{"write_keys": [""]}',
        '{"api_host": 5}',
        '{"oauth_clients": [{"client_id": "c"}]}',
    ],
)
def test_unusable_settings_change_nothing(client: TestClient, payload: str) -> None:
    before = client.get("/api/settings").json()
    answer = client.patch("/api/settings", content=payload)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("unusable settings")
    assert client.get("/api/settings").json() == before


# --- OAuth


PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_KEY = (
    PRIVATE_KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.fixture
def oauth(client: TestClient) -> TestClient:
    configure(
        client,
        oauth_clients=[{"client_id": "app", "key_id": "key-1", "public_key": PUBLIC_KEY}],
    )
    return client


def ask_for_token(client: TestClient, key_id: str = "key-1", **claims: Any) -> Any:
    now = int(time.time())
    usual = {"iss": "app", "sub": "app", "aud": "http://testserver", "jti": str(uuid.uuid4())}
    body = usual | {"iat": now - 5, "exp": now + 55} | claims
    return client.post(
        "/token",
        data={
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode(body, PRIVATE_KEY, "RS256", headers={"kid": key_id}),
            "scope": "tracking_api:write",
        },
    )


def test_with_oauth_a_request_needs_a_token(oauth: TestClient) -> None:
    assert send(oauth, track("m")).status_code == 401
    granted = ask_for_token(oauth).json()
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 86400)

    def post(token: str) -> Any:
        body = {"batch": [track("m")], "writeKey": "k"}
        headers = {"authorization": f"Bearer {token}"}
        return oauth.post("/v1/batch", json=body, headers=headers)

    assert post("made-up").status_code == 401
    assert post(granted["access_token"]).json() == SUCCESS
    assert states(oauth) == [("accepted", None)]


def test_a_token_runs_out(oauth: TestClient) -> None:
    configure(oauth, oauth_token_s=0)
    headers = {"authorization": f"Bearer {ask_for_token(oauth).json()['access_token']}"}
    answer = oauth.post("/v1/track", json=track("m") | {"writeKey": "k"}, headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("claims", "status", "error", "description"),
    [
        ({"exp": 1}, 400, "invalid_request", "Token is expired"),
        ({"iat": 9_999_999_999}, 400, "invalid_request", "Token used before issued"),
        ({"aud": "https://oauth2.segment.io"}, 400, "invalid_request", "Audience"),
        ({"sub": "other"}, 400, "invalid_request", "subject"),
        ({"iss": "other"}, 401, "invalid_client", "no such client"),
        ({"key_id": "key-2"}, 401, "invalid_client", "no such client"),
    ],
)
def test_refused_assertions(
    oauth: TestClient, claims: dict[str, Any], status: int, error: str, description: str
) -> None:
    answer = ask_for_token(oauth, **claims)
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert description in answer.json()["error_description"]


def test_an_assertion_is_taken_once(oauth: TestClient) -> None:
    assert ask_for_token(oauth, jti="same").status_code == 200
    assert ask_for_token(oauth, jti="same").status_code == 400


def test_a_foreign_signature_is_refused(client: TestClient) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = other.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    configure(client, oauth_clients=[{"client_id": "app", "key_id": "key-1", "public_key": pem}])
    assert ask_for_token(client).json()["error"] == "invalid_client"


# --- The JSON API


def test_filters_and_pages(client: TestClient) -> None:
    send(client, *(track(f"m{n}", userId=str(n % 3)) for n in range(9)))
    send(client, {"type": "identify", "userId": "1", "messageId": "Ident"})
    send(client, track("m0", userId="0"))

    def ids(**filters: Any) -> list[str]:
        answer = client.get("/api/messages", params=filters).json()
        return [message["messageId"] for message in answer["messages"]]

    assert ids(userId="1") == ["m1", "m4", "m7", "Ident"]
    assert ids(type="identify") == ["Ident"]
    assert ids(event="Order Completed", limit=2, offset=3) == ["m3", "m4"]
    assert ids(messageId="m0") == ["m0", "m0"]
    assert ids(state="duplicate") == ["m0"]
    assert ids(q="ident") == ["Ident"]
    assert ids(q="order completed", userId="2", order="desc") == ["m8", "m5", "m2"]
    assert client.get("/api/messages", params={"limit": 1}).json()["total"] == 11


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "offset=1e3", "order=up", "user=1"])
def test_a_wrong_parameter_is_an_error(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/messages?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_clear(client: TestClient) -> None:
    send(client, track("m"))
    assert client.delete("/api/messages").status_code == 204
    stats = client.get("/api/stats").json()
    assert (stats["received"], stats["requests"], stats["by_type"]) == (0, 0, {})
    send(client, track("m"))
    assert states(client) == [("accepted", None)]


def test_what_arrived_survives_a_restart(tmp_path: Path) -> None:
    for expected in ("accepted", "duplicate"):
        with TestClient(create_app(tmp_path)) as client:
            send(client, track("m"))
            assert states(client)[-1] == (expected, None)


def test_the_log_holds_neither_contents_nor_keys(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "sandbox")
    send(client, track("m", userId="secret@example.com"), writeKey="secret-key")
    client.post("/v1/batch", content='{"secret": nope}', auth=("secret-key", ""))
    assert "1 accepted" in caplog.text
    assert "secret" not in caplog.text


# --- Faults


def script(client: TestClient, *steps: Any) -> Any:
    return client.post("/api/faults", json={"script": steps})


def test_faults_are_used_up_one_by_one(client: TestClient) -> None:
    steps = [
        {"status": 500},
        {"status": 429, "retry_after": 7},
        {"redirect": "/login"},
        {"body": '{"success": false}'},
        {"status": 503, "accept": True},
        {},
    ]
    assert script(client, *steps).json()["script"] == steps
    answers = [send(client, track(str(n))) for n in range(7)]
    assert [answer.status_code for answer in answers] == [500, 429, 302, 200, 503, 200, 200]
    assert answers[1].headers["retry-after"] == "7"
    assert answers[1].headers["x-ratelimit-reset"] == "7"
    assert answers[2].headers["location"] == "/login"
    assert answers[3].text == '{"success": false}'
    accepted = client.get("/api/messages").json()["messages"]
    assert [message["messageId"] for message in accepted] == ["3", "4", "5", "6"]
    assert client.get("/api/faults").json() == {"script": [], "used": 6}
    assert client.get("/api/stats").json()["failed_requests"] == 4


def test_a_step_can_answer_several_requests(client: TestClient) -> None:
    script(client, {"status": 500, "times": 2}, {"status": 503})
    answers = [send(client, track(str(n))).status_code for n in range(4)]
    assert answers == [500, 500, 503, 200]


def test_an_outage_ends_by_itself(client: TestClient) -> None:
    script(client, {"status": 503, "for_s": 0.3}, {"status": 500})
    assert {send(client, track(str(n))).status_code for n in range(3)} == {503}
    time.sleep(0.35)
    assert send(client, track("a")).status_code == 500
    assert send(client, track("b")).json() == SUCCESS
    assert client.get("/api/faults").json() == {"script": [], "used": 4}


def test_a_rule_answers_all_that_it_matches_and_stays(client: TestClient) -> None:
    script(client, {"status": 500}, {"status": 400, "match": "poison"})
    assert send(client, track("poison-1"), track("a")).status_code == 400
    assert send(client, track("a")).status_code == 500
    assert send(client, track("a")).json() == SUCCESS
    assert send(client, track("b", properties={"note": "poison"})).status_code == 400
    assert client.get("/api/faults").json()["script"] == [{"status": 400, "match": "poison"}]


def test_steps_can_be_for_tokens_and_for_settings(client: TestClient) -> None:
    script(client, {"status": 503, "at": "settings"}, {"status": 500, "at": "token"})
    assert send(client, track("a")).json() == SUCCESS
    assert client.get("/v1/projects/k/settings").status_code == 503
    assert client.get("/v1/projects/k/settings").status_code == 200
    assert [client.post("/token").status_code for _ in range(2)] == [500, 400]


def test_faults_can_be_cleared(client: TestClient) -> None:
    script(client, {"status": 500})
    assert client.delete("/api/faults").json()["script"] == []
    assert send(client, track("m")).json() == SUCCESS


@pytest.mark.parametrize(
    "payload",
    [
        b"nope",
        b"[]",
        b'{"script": {}}',
        b'{"script": [5]}',
        b'{"script": [{"stauts": 500}]}',
        b'{"script": [{"status": "500"}]}',
        b'{"script": [{"status": true}]}',
        b'{"script": [{"status": 99}]}',
        b'{"script": [{"reset": "during"}]}',
        b'{"script": [{"delay_s": -1}]}',
        b'{"script": [{"retry_after": 1.5}]}',
        b'{"script": [{"times": 0}]}',
        b'{"script": [{"refuse": true}]}',
        b'{"script": [{"match": ""}]}',
        b'{"script": [{"at": "home"}]}',
    ],
)
def test_an_unusable_script_changes_nothing(client: TestClient, payload: bytes) -> None:
    script(client, {"status": 500})
    answer = client.post("/api/faults", content=payload)
    assert answer.status_code == 400
    assert "fault script" in answer.json()["error"]
    assert client.get("/api/faults").json()["script"] == [{"status": 500}]


# --- The page


@pytest.mark.parametrize("path", ["/", "/debugger.js", "/debugger.css"])
def test_the_page_needs_nothing_from_outside(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    urls = answer.text.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in urls
    assert "https://" not in urls


def test_the_page_never_renders_text_as_markup(client: TestClient) -> None:
    assert "innerHTML" not in client.get("/debugger.js").text
