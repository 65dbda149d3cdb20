"""What is checked before sending, besides the clocks (`clocks`).

Segment would not say it: it answers 200 all the same.

- *namespace*: the placeholder is refused outside the sandbox. Every copy of this project starts
  with it, and Segment deduplicates message ids over all of its customers.
- *rows*: the sample, an invented chain, is for the sandbox only.
- *write key*: Segment's CDN serves the settings of every source, and 404 for an unknown key
  ("Cannot GET - Invalid path or write key provided."). The API takes an unknown key with 200 and
  drops everything.
- *region*: these settings name the host that the source's messages belong to. Since April 2025
  Segment drops what goes to the other region.

Key and region cannot be checked where the CDN cannot be reached; that is reported. Behind a proxy
that stands for SEGMENT_HOST, switch them off: [readiness] check_source=false.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from luigi_tasks import config
from luigi_tasks.errors import ConfigurationError, CredentialsRefusedError
from luigi_tasks.landing import origin
from luigi_tasks.runs import deadline

logger = logging.getLogger("luigi-interface.readiness")

MAX_SETTINGS_BYTES = 1_000_000
"""A source's settings list all of its destinations."""

SEGMENT_DOMAINS = (".segment.io", ".segmentapis.com")


def check_namespace() -> None:
    """Refuse the placeholder for anything but the sandbox.

    Raises:
        ConfigurationError: SEGMENT_NAMESPACE is not set.
    """
    settings = config.segment()
    if settings.namespace == config.PLACEHOLDER_NAMESPACE and not config.is_sandbox(settings.host):
        raise ConfigurationError(
            f"SEGMENT_NAMESPACE is still the placeholder {settings.namespace!r}. It is part of "
            "every message id, and Segment drops an id that any of its customers has used. Set it "
            "to a name of your own, such as retailpro-yourshop-prod, and never change it again. "
            "Messages that are in the outbox already keep their ids until they are requeued."
        )


def check_rows() -> None:
    """Refuse the sample for anything but the sandbox: its rows, and what was built from them.

    Raises:
        ConfigurationError: The settings, or the database, are those of the sample.
    """
    host = config.segment().host
    if config.is_sandbox(host):
        return
    if origin.reads_the_sample() or origin.of_database() == "sample":
        raise ConfigurationError(
            f"The rows are those of the sample, and {host} is no sandbox: nothing was sent. Set "
            "RETAIL_PRO_EXPORT_DIR to the directory of your export, or RETAIL_PRO_SOURCE=landing "
            "for tables of your own, and CLICKHOUSE_DATABASE to a database that the sample was "
            "not built in."
        )


def check(key: str) -> None:
    """Check everything; report what cannot be checked.

    Args:
        key: Segment's write key.

    Raises:
        ConfigurationError: The namespace or the region is wrong, or the rows are the sample's.
        CredentialsRefusedError: Segment does not know the write key.
    """
    check_namespace()
    check_rows()
    if config.readiness().check_source:
        _check_source(key)


def _check_source(key: str) -> None:
    cdn = config.segment_cdn()
    try:
        answer = _get(f"{cdn}/v1/projects/{quote(key, safe='')}/settings")
    except requests.RequestException as error:
        # Its text holds the address, which holds the key.
        logger.warning(
            "%s cannot be reached (%s): the write key could not be checked.",
            cdn,
            type(error).__name__,
        )
        return
    if answer.status_code == requests.codes.not_found:
        raise CredentialsRefusedError(
            f"Segment does not know the write key (404 from {cdn}): it would take all messages "
            "with 200 and drop them. Nothing was sent. Set SEGMENT_WRITE_KEY to the key on the "
            "settings page of the source. A new source takes some minutes to be known. If "
            "SEGMENT_HOST is a proxy with keys of its own, set [readiness] check_source=false."
        )
    if answer.status_code != requests.codes.ok:
        logger.warning(
            "%s answers %d: the write key could not be checked.", cdn, answer.status_code
        )
        return
    _check_region(answer)


def _check_region(answer: requests.Response) -> None:
    host = config.segment().host
    wanted = api_host(answer)
    if wanted and is_other_region(wanted, host):
        raise ConfigurationError(
            f"The source of this write key belongs to https://{wanted.partition('/')[0]}, but "
            f"SEGMENT_HOST is {host}: Segment drops what goes to another region. Nothing was "
            "sent. Set SEGMENT_HOST to that address. If that is not so, set [readiness] "
            "check_source=false."
        )


def api_host(answer: requests.Response) -> str:
    """Return the host in a source's settings, such as `api.segment.io/v1`; empty for none."""
    try:
        settings: Any = answer.json()["integrations"]["Segment.io"]
        return str(settings.get("apiHost") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def is_other_region(wanted: str, host: str) -> bool:
    """Tell whether two hosts, both of them Segment's, are of different regions."""
    names = [urlsplit(f"//{wanted}").hostname or "", urlsplit(host).hostname or ""]
    if not all(f".{name}".endswith(SEGMENT_DOMAINS) for name in names):
        return False
    return len({"eu1" in name.split(".") for name in names}) > 1


def _get(url: str) -> requests.Response:
    settings = config.segment()
    timeout = (settings.connect_timeout_seconds, settings.timeout_seconds)
    with deadline.give(requests.Session(), settings.request_seconds, MAX_SETTINGS_BYTES) as session:
        return session.get(url, timeout=timeout, allow_redirects=False)
