"""The page of a study's webhooks: add one, try it, turn it off, see what was sent."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods

from survey.admin.page import render, study_address, study_page
from survey.exceptions import WebhookRefused
from survey.models import Study, Webhook, WebhookDelivery
from survey.services.records.webhook import (
    ATTEMPTS,
    SIGNATURE_HEADER,
    webhook_add,
    webhook_remove,
    webhook_switch,
    webhook_test,
)

__all__ = ["webhooks"]

# Some events to ten addresses each; the API pages through all of them.
SHOWN = 30


class WebhookForm(forms.Form):
    url = forms.URLField(
        max_length=500, assume_scheme="https", label="Address", widget=forms.URLInput(attrs={"size": 60})
    )


@require_http_methods(["GET", "POST"])
@study_page()
def webhooks(request: HttpRequest, study: Study) -> HttpResponse:
    context: dict[str, Any] = {"form": WebhookForm()}
    if request.method == "POST":
        if request.POST.get("do") != "add":
            return _change(request, study)
        context = _add(request, study)
    deliveries = WebhookDelivery.objects.filter(webhook__study=study).select_related("webhook")
    return render(
        request,
        study,
        "webhooks.html",
        tab="webhooks",
        webhooks=study.webhooks.order_by("pk"),
        deliveries=deliveries[:SHOWN],
        header=SIGNATURE_HEADER,
        attempts=ATTEMPTS,
        **context,
    )


def _add(request: HttpRequest, study: Study) -> dict[str, Any]:
    """Return what the page shows: the secret stands in this one answer and nowhere else, also in no cookie."""
    form = WebhookForm(request.POST)
    if not form.is_valid():
        return {"form": form}
    try:
        made = webhook_add(study=study, url=form.cleaned_data["url"], actor=request.user)
    except WebhookRefused as error:
        form.add_error("url", str(error))
        return {"form": form}
    return {"form": WebhookForm(), "made": made}


def _change(request: HttpRequest, study: Study) -> HttpResponse:
    number = request.POST.get("webhook", "")
    webhook = get_object_or_404(Webhook, study=study, pk=int(number) if number.isdecimal() and len(number) < 19 else 0)
    doing = request.POST.get("do")
    if doing == "test":
        webhook_test(webhook=webhook)
        messages.success(request, "A worker sends the test; reload this page to see what the address answered.")
    elif doing in {"off", "on"}:
        webhook_switch(webhook=webhook, is_active=doing == "on", actor=request.user)
    elif doing == "remove":
        webhook_remove(webhook=webhook, actor=request.user)
        messages.success(request, f"{webhook.url} is removed.")
    return HttpResponseRedirect(study_address(study, "webhooks"))
