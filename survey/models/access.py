"""Machines that act for people: API tokens, and webhooks that tell other machines."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from survey.models.study import Study


class ApiToken(models.Model):
    """A bearer token of a user. Only its digest is stored; the token itself is shown once."""

    class Scope(models.TextChoices):
        READ = "read", "read studies, progress and reports"
        WRITE = "write", "create and change drafts, import images, exclude"
        RUN = "run", "freeze, open, pause, close"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=60, help_text="what the token is for")
    prefix = models.CharField(max_length=12, help_text="the token's first letters, to tell it from others")
    # A plain digest is enough: tokens are random, so there is nothing to guess through a dictionary.
    sha256 = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"


class Webhook(models.Model):
    """An address that is told about a study's changes of state, signed with its own secret."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="webhooks")
    url = models.URLField(max_length=500)
    secret = models.CharField(max_length=64)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    """One event on its way to one address. Receivers tell repeats by ``event``."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.UUIDField(default=uuid.uuid4)
    payload = models.JSONField()
    attempts = models.PositiveSmallIntegerField(default=0)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["webhook", "event"], name="one_delivery_per_event")]
        ordering = ["-created_at"]
        verbose_name_plural = "webhook deliveries"

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"
