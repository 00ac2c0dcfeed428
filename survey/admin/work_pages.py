"""Pages that start work on a study: import images, watch jobs, cancel them, try again."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs.services import job_retry
from survey.admin.page import jobs_context, render, study_address, study_page
from survey.exceptions import ImportRefused, SurveyError
from survey.models import Study
from survey.selectors.access import may_change
from survey.selectors.jobs import study_jobs
from survey.services.background import IMPORT, import_begin, work_cancel
from survey.services.images.class_names import MOST_CLASS_BYTES, class_names_read
from survey.services.images.import_sources import zip_sources
from survey.services.images.importing import import_check
from survey.services.images.manifest import UploadedTable
from survey.services.images.uploads import MAX_ZIP_BYTES

__all__ = ["import_images", "job_step", "jobs"]


class ImportForm(forms.Form):
    """A zip of one folder per arm."""

    zip = forms.FileField(
        label="Zip with one folder per arm",
        help_text="Inside, images of a pair have the same path. The first folder below the arm is the class.",
    )
    classes = forms.FileField(
        required=False, label="Class names (CSV or Excel: class_label,class_name)", help_text="Raters read the name."
    )
    pairs = forms.FileField(
        required=False,
        label="Prompts and more of each pair (pairs.csv, .xlsx or .jsonl)",
        help_text="Columns path, prompt, class, tags, reference, seed; not needed if it lies in the zip.",
    )
    are_texts_read = forms.BooleanField(required=False, label="The .txt beside an image is its prompt")
    leave_out_unmatched = forms.BooleanField(
        required=False, label="Leave out images that some arm does not have, and rows without images"
    )
    only_check = forms.BooleanField(required=False, label="Only check, import nothing")

    def clean_zip(self) -> Any:
        file = self.cleaned_data["zip"]
        if file.size > MAX_ZIP_BYTES:
            raise forms.ValidationError("The zip is larger than 8 GiB; use the command import_pairs on the server.")
        return file

    def clean_classes(self) -> dict[str, str]:
        file = self.cleaned_data["classes"]
        try:
            return class_names_read(file.read(MOST_CLASS_BYTES + 1)) if file else {}
        except ImportRefused as error:
            raise forms.ValidationError(error.problems) from None

    def clean_pairs(self) -> UploadedTable | None:
        file = self.cleaned_data["pairs"]
        try:
            return UploadedTable.of(file, name=file.name) if file else None
        except ImportRefused as error:
            raise forms.ValidationError(error.problems) from None


@require_http_methods(["GET", "POST"])
@study_page()
def import_images(request: HttpRequest, study: Study) -> HttpResponse:
    form = ImportForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"tab": "images", "form": form, "is_draft": study.state == Study.State.DRAFT}
    if request.method == "POST" and form.is_valid():
        try:
            done = _do_import(request, study, form.cleaned_data)
            if isinstance(done, HttpResponse):
                return done
            context["report"] = done
            # A file cannot be kept in a form: what was checked is chosen again, and then imported.
            kept = {name: form.cleaned_data[name] for name in ("leave_out_unmatched", "are_texts_read")}
            context["form"] = ImportForm(initial=kept)
            context["is_check"] = form.cleaned_data["only_check"]
        except ImportRefused as error:
            context["problems"] = error.problems
        except SurveyError as error:
            context["problems"] = [str(error)]
    return render(request, study, "import.html", **context, **jobs_context(study, IMPORT))


def _do_import(request: HttpRequest, study: Study, asked: dict[str, Any]) -> Any:
    rules = {name: asked[name] for name in ("leave_out_unmatched", "are_texts_read")}
    rules |= {"study": study, "class_names": asked["classes"]}
    table = asked["pairs"]
    if asked["only_check"]:
        with zip_sources(asked["zip"], manifest=table and table.table) as sources:
            return import_check(sources=sources, **rules)
    report, _ = import_begin(file=asked["zip"], manifest=table, actor=request.user, **rules)
    if report is not None:
        return report
    messages.success(request, "A worker imports the images; this page shows how far it is.")
    return HttpResponseRedirect(request.path)


@require_GET
@study_page()
def jobs(request: HttpRequest, study: Study) -> HttpResponse:
    """The list of jobs alone, asked for again while somebody looks."""
    context = {"study": study, "may_change": may_change(request.user, study)}
    context |= jobs_context(study, request.GET.get("kind", ""))
    return TemplateResponse(request, "admin/survey/_jobs.html", context)


@require_POST
@study_page()
def job_step(request: HttpRequest, study: Study, job: uuid.UUID, name: str) -> HttpResponse:
    """Cancel a job, or try a failed one again."""
    # Looked up among the study's own jobs: another study's job is none of this address.
    row = get_object_or_404(study_jobs(study), pk=job)
    if name == "cancel":
        is_over = work_cancel(row).is_over
        messages.success(request, "The job is cancelled." if is_over else "The job stops at its next look.")
    elif name == "retry":
        job_retry(row)
        messages.success(request, "The job is queued again.")
    return HttpResponseRedirect(study_address(study))
