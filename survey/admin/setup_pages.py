"""A new study in four steps. Each is saved by itself, so that one can leave after any of them and go on later."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import linebreaksbr
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from survey.admin.page import render, study_address, study_page
from survey.admin.study_form import STEPS, SetupStep, step_form
from survey.exceptions import ImportRefused, SurveyError
from survey.models import Study
from survey.selectors.access import may_change
from survey.services.background import import_begin
from survey.services.images.uploads import MAX_ZIP_BYTES
from survey.services.study.study import study_create, study_update

__all__ = ["setup", "start"]

# Of a refused zip; the page that imports shows all of them.
PROBLEMS_SHOWN = 10


class ZipForm(forms.Form):
    """The images, where they are at hand already."""

    zip = forms.FileField(
        required=False,
        label="Images",
        help_text="a zip of one folder for each arm; images that belong together have the same path in both. "
        "They can also be imported or generated later",
    )

    def clean_zip(self) -> Any:
        file = self.cleaned_data["zip"]
        if file and file.size > MAX_ZIP_BYTES:
            raise forms.ValidationError("The zip is larger than 8 GiB; use the command import_pairs on the server.")
        return file


@require_http_methods(["GET", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Ask what is compared, and make the draft."""
    if not (request.user.is_active and request.user.is_staff):
        raise PermissionDenied
    step = STEPS[0]
    form = step_form(step)(request.POST or None)
    form.fields["slug"].required = False
    form.fields["slug"].help_text = "part of the rater's address; empty: made from the title"
    # There are no arms to choose from yet.
    del form.fields["baseline"]
    zip_form = ZipForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid() and zip_form.is_valid():
        study = study_create(owner=request.user, **form.cleaned_data)
        is_done = _import(request, study, zip_form.cleaned_data["zip"])
        return HttpResponseRedirect(study_address(study, "setup", step="read" if is_done else step.name))
    context = admin.site.each_context(request) | {
        "title": "New study",
        "opts": Study._meta,
        "may_change": True,
        "zip_form": zip_form,
        **_form_context(step, form),
        "rail": _rail(step, None),
    }
    return TemplateResponse(request, "admin/survey/setup.html", context)


@require_http_methods(["GET", "POST"])
@study_page()
def setup(request: HttpRequest, study: Study, step: str) -> HttpResponse:
    """Show one step of a draft, or save it and go on."""
    current = next((one for one in STEPS if one.name == step), None)
    if current is None:
        raise Http404
    if study.state != Study.State.DRAFT:
        messages.warning(request, f"The study is {study.state}: only a draft can be changed. Revise it first.")
        return HttpResponseRedirect(study_address(study))
    if not may_change(request.user, study):
        raise PermissionDenied
    form = step_form(current)(request.POST or None, instance=study)
    zip_form = ZipForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid() and zip_form.is_valid():
        if values := {name: form.cleaned_data[name] for name in form.changed_data}:
            study_update(study=study, actor=request.user, **values)
        is_done = _import(request, study, zip_form.cleaned_data["zip"])
        return HttpResponseRedirect(_after(study, current) if is_done else request.path)
    # The form has put what was typed into this object; the page shows what is stored.
    stored = Study.objects.get(pk=study.pk)
    return render(
        request,
        stored,
        "setup.html",
        tab="design",
        zip_form=zip_form,
        arms=list(stored.arms.all()),
        pairs=stored.pairs.count(),
        rail=_rail(current, stored),
        **_form_context(current, form),
    )


def _import(request: HttpRequest, study: Study, file: Any) -> bool:
    """Import a zip if there is one; return whether nothing is left to mend."""
    if not file:
        return True
    try:
        report, _ = import_begin(study=study, file=file, actor=request.user)
    except SurveyError as error:
        problems = error.problems if isinstance(error, ImportRefused) else [str(error)]
        messages.error(request, "The study is saved; its images were not imported:")
        for problem in problems[:PROBLEMS_SHOWN]:
            # The tree that is wanted has a line for each path.
            messages.error(request, linebreaksbr(problem))
        return False
    if report is None:
        messages.success(request, "A worker imports the images; Overview shows how far it is.")
    else:
        messages.success(request, f"{report.pairs} pairs of {', '.join(report.arms)} imported.")
    return True


def _after(study: Study, step: SetupStep) -> str:
    place = STEPS.index(step) + 1
    return (
        study_address(study, "setup", step=STEPS[place].name) if place < len(STEPS) else study_address(study, "preview")
    )


def _form_context(step: SetupStep, form: forms.ModelForm) -> dict[str, Any]:
    more = [form[name] for name in step.more.split()]
    return {
        "step": step,
        "form": form,
        "main": [form[name] for name in step.fields.split() if name in form.fields],
        "more": more,
        "is_more_open": any(field.errors for field in more),
        "is_last": step is STEPS[-1],
    }


def _rail(current: SetupStep, study: Study | None) -> list[dict[str, Any]]:
    return [
        {
            "caption": step.caption,
            "number": number,
            "is_now": step is current,
            "address": study_address(study, "setup", step=step.name) if study else "",
        }
        for number, step in enumerate(STEPS, start=1)
    ]
