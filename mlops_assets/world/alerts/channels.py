"""Where alerts go: Slack, PagerDuty, e-mail, webhooks and a hundred more, by Apprise's URLs in the environment.

Here: the routes by severity, and sending one message to one channel. Not here: what is sent when (`incidents`).

`MLOPS_ALERT_URLS` gets everything; `MLOPS_ALERT_URLS_PAGE`, `_NOTIFY` and `_DIGEST` get that severity as well. Several
URLs are separated by spaces or commas. A URL holds secrets: it is written nowhere, its channel is known by a hash.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.core.record.incidents import SEVERITIES, Message, MessageKind, Severity

if TYPE_CHECKING:
    from apprise import NotifyBase

logger = logging.getLogger("mlops.alerts")

URLS = "MLOPS_ALERT_URLS"
DAGSTER_URL = "MLOPS_DAGSTER_URL"
RUNBOOK_URL = "MLOPS_RUNBOOK_URL"


@dataclass(frozen=True)
class Channels:
    """The channels by severity, and where links lead.

    Attributes:
        urls: severity -> Apprise's URLs, as one text.
        dagster: address of Dagster's UI.
        runbook: address of the runbook's page.
    """

    urls: Mapping[Severity, str] = field(default_factory=dict)
    dagster: str = "http://127.0.0.1:3000"
    runbook: str = "docs/runbook.md"

    @classmethod
    def from_environment(cls) -> Channels:
        """As the environment says now."""
        everything = os.environ.get(URLS, "")
        return cls(
            urls={s: f"{everything} {os.environ.get(f'{URLS}_{s.upper()}', '')}".strip() for s in SEVERITIES},
            dagster=os.environ.get(DAGSTER_URL) or cls.dagster,
            runbook=os.environ.get(RUNBOOK_URL) or cls.runbook,
        )

    def takes(self, severity: Severity) -> bool:
        """Whether a message of this severity has somewhere to go."""
        return bool(self.urls.get(severity))

    def routes(self, severity: Severity) -> dict[str, NotifyBase | None]:
        """The channels of a severity, by the name under which the state knows them.

        A URL that Apprise does not know is None: it keeps no message from the others.
        """
        if not self.takes(severity):
            return {}
        from apprise.utils.parse import parse_urls

        channels = {url: _channel(url) for url in parse_urls(self.urls[severity])}
        return {hashlib.sha256(url.encode()).hexdigest()[:12]: channel for url, channel in channels.items()}

    def send(self, message: Message, channel: NotifyBase | None, *, note: str = "") -> bool:
        """Send a message to one of its channels, `note` before its text; whether that took it."""
        if channel is None:
            logger.error(
                "A URL in %s or %s_%s is none that Apprise knows. Correct it and try `mlops alerts test`; "
                "%s waits for a day.",
                *(URLS, URLS, message.severity.upper(), message.title),
            )
            return False
        taken = bool(
            channel.notify(
                title=f"[mlops {message.severity}] {message.title}",
                body=note + self.text(message),
                notify_type=_apprise_type(message.kind, message.severity),
            )
        )
        if not taken:
            logger.error("%s did not take: %s. It is tried again.", channel.url(privacy=True), message.title)
        return taken

    def text(self, message: Message) -> str:
        """What a person reads."""
        if message.report is None:
            return message.text
        report, runbook = message.report, f"Runbook: {self.runbook}#{message.report.runbook}"
        if message.kind == "closed":
            return f"It is over: {message.text}\nWhat had happened: {report.happened}\n{runbook}"
        return "\n".join(
            [
                f"What happened: {report.happened}",
                f"What the platform did: {report.did}",
                f"What you can do: {report.do}",
                *([f"Run: {self.dagster}/runs/{report.run}"] if report.run else []),
                runbook,
            ]
        )


def _channel(url: str) -> NotifyBase | None:
    """The channel of a URL. Apprise's own log is kept quiet: it would quote a URL that is wrong, with its secret."""
    from apprise import Apprise

    log = logging.getLogger("apprise")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        return Apprise.instantiate(url)
    finally:
        log.setLevel(before)


def _apprise_type(kind: MessageKind, severity: Severity) -> Any:
    from apprise import NotifyType

    if kind == "closed":
        return NotifyType.SUCCESS
    return {"page": NotifyType.FAILURE, "notify": NotifyType.WARNING, "digest": NotifyType.INFO}[severity]
