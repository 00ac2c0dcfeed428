"""Tell other machines that a study changed its state: signed, at public addresses alone, tried again by the job."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from jobs.exceptions import JobError
from jobs.services import job_enqueue
from survey.canonical import canonical_json
from survey.exceptions import WebhookRefused
from survey.models import Study, Webhook, WebhookDelivery
from survey.outgoing import OutgoingRefused, outgoing_check, outgoing_post
from survey.selectors.jobs import study_subject
from survey.services.records.audit import audit_record

__all__ = [
    "webhook_add",
    "webhook_deliver",
    "webhook_remove",
    "webhook_signature",
    "webhook_switch",
    "webhook_test",
    "webhooks_notify",
]

SIGNATURE_HEADER = "Blindpair-Signature"
# Each change of state sends a request to every one of them.
MOST_PER_STUDY = 10
# Half a minute, two minutes, eight, ...: a receiver that is away for a night still gets its events.
FIRST_WAIT_SECONDS = 30
WAIT_FACTOR = 4
ATTEMPTS = 7


@transaction.atomic
def webhook_add(*, study: Study, url: str, actor: Any) -> Webhook:
    """Add an address; its secret signs what is sent there. Raises WebhookRefused for an address it may not reach."""
    try:
        outgoing_check(url)
    except OutgoingRefused as error:
        raise WebhookRefused(f"{url[:200]} is refused: {error}") from None
    # Two requests that add the last address at the same time must not both find room for it.
    Study.objects.select_for_update().get(pk=study.pk)
    if study.webhooks.count() >= MOST_PER_STUDY:
        raise WebhookRefused(f"a study has at most {MOST_PER_STUDY} webhooks; remove one first")
    webhook = Webhook(study=study, url=url, secret=secrets.token_urlsafe(32))
    webhook.full_clean()
    webhook.save()
    audit_record(study=study, actor=actor, action="add webhook", detail={"url": url})
    return webhook


@transaction.atomic
def webhook_remove(*, webhook: Webhook, actor: Any) -> None:
    """Remove an address with its deliveries."""
    audit_record(study=webhook.study, actor=actor, action="remove webhook", detail={"url": webhook.url})
    webhook.delete()


@transaction.atomic
def webhook_switch(*, webhook: Webhook, is_active: bool, actor: Any) -> Webhook:
    """Turn an address off, or on again. What was on its way to one that is off is dropped."""
    if Webhook.objects.filter(pk=webhook.pk).exclude(is_active=is_active).update(is_active=is_active):
        action = "turn webhook on" if is_active else "turn webhook off"
        audit_record(study=webhook.study, actor=actor, action=action, detail={"url": webhook.url})
    webhook.refresh_from_db()
    return webhook


@transaction.atomic
def webhook_test(*, webhook: Webhook) -> WebhookDelivery:
    """Queue a delivery that says nothing but that it is a test; it is tried once."""
    if not Webhook.objects.get(pk=webhook.pk).is_active:
        raise WebhookRefused(f"{webhook.url} is off; turn it on first")
    return _queue(webhook, "test", {}, attempts=1)


def webhooks_notify(*, study: Study, event: str, detail: dict[str, Any]) -> None:
    """Queue one delivery for each address of the study, in the transaction of what happened."""
    for webhook in study.webhooks.filter(is_active=True):
        _queue(webhook, event, detail, attempts=ATTEMPTS)


def _queue(webhook: Webhook, event: str, detail: dict[str, Any], *, attempts: int) -> WebhookDelivery:
    delivery = WebhookDelivery(webhook=webhook)
    delivery.payload = {
        "event": f"study.{event}",
        "id": str(delivery.event),
        "at": timezone.now().isoformat(),
        "study": webhook.study.slug,
        **detail,
    }
    delivery.save()
    parameters = {"study": webhook.study.slug, "delivery": delivery.pk}
    subject = study_subject(webhook.study)
    job_enqueue(kind="survey.webhook", parameters=parameters, subject=subject, max_attempts=attempts)
    return delivery


def webhook_signature(secret: str, body: bytes, moment: int) -> str:
    """Return the header's value; a receiver computes it again over ``t``, a dot and the raw body."""
    # The moment is signed along, so that a receiver can refuse an old message that is sent again.
    tag = hmac.digest(secret.encode(), str(moment).encode() + b"." + body, hashlib.sha256).hex()
    return f"t={moment},v1={tag}"


def webhook_deliver(delivery: WebhookDelivery) -> WebhookDelivery:
    """Send one delivery; raise JobError, so that the job tries again later and later, unless it is taken with a 2xx."""
    if delivery.delivered_at is not None:
        return delivery
    if not delivery.webhook.is_active:
        WebhookDelivery.objects.filter(pk=delivery.pk).update(error="dropped: the webhook was turned off")
        return delivery
    body = canonical_json(delivery.payload)
    headers = {
        SIGNATURE_HEADER: webhook_signature(delivery.webhook.secret, body, int(time.time())),
        "Blindpair-Event": str(delivery.event),
    }
    error, status = "", None
    try:
        status = outgoing_post(delivery.webhook.url, body, headers)
        error = "" if 200 <= status < 300 else f"the receiver answered {status}"
    except OutgoingRefused as refusal:
        error = str(refusal)[:300]
    delivered = None if error else timezone.now()
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        attempts=F("attempts") + 1, status_code=status, error=error, delivered_at=delivered
    )
    delivery.refresh_from_db()
    if error:
        wait = FIRST_WAIT_SECONDS * WAIT_FACTOR ** (delivery.attempts - 1)
        raise JobError(f"{delivery.webhook.url}: {error}", wait_seconds=wait)
    return delivery
