"""Pages that start work on a study: import images, watch jobs, cancel them, try again."""

from __future__ import annotations

import csv
import io
import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs.services import job_retry
from survey.admin.page import render, study_address, study_page
from survey.exceptions import ImportRefused, SurveyError
from survey.models import Study
from survey.selectors.jobs import study_jobs
from survey.services.image_import import images_check
from survey.services.image_sources import zip_sources
from survey.services.long_work import import_begin, work_cancel

__all__ = ["import_images", "job_step", "jobs"]

MAX_ZIP_BYTES = 8 * 1024**3


class ImportForm(forms.Form):
    """A zip of one folder per arm."""

    zip = forms.FileField(
        label="Zip with one folder per arm",
        help_text="Inside, images of a pair have the same path. The first folder below the arm is the class.",
    )
    classes = forms.FileField(
        required=False, label="Class names (CSV: class_label,class_name)", help_text="Raters read the name."
    )
    leave_out_unmatched = forms.BooleanField(required=False, label="Leave out images that some arm does not have")
    only_check = forms.BooleanField(required=False, label="Only check, import nothing")

    def clean_zip(self) -> Any:
        file = self.cleaned_data["zip"]
        if file.size > MAX_ZIP_BYTES:
            raise forms.ValidationError("The zip is larger than 8 GiB; use the command import_pairs on the server.")
        return file

    def clean_classes(self) -> dict[str, str]:
        file = self.cleaned_data["classes"]
        if file is None:
            return {}
        try:
            rows = list(csv.reader(io.StringIO(file.read(4 * 1024**2).decode("utf-8-sig"))))
        except (UnicodeDecodeError, csv.Error):
            raise forms.ValidationError("This is no CSV in UTF-8.") from None
        names = {}
        for number, row in enumerate(rows, start=1):
            if row and row[0] != "class_label":
                if len(row) != 2:
                    raise forms.ValidationError(f"Line {number}: expected class_label,class_name.")
                names[row[0]] = row[1]
        return names


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
        except ImportRefused as error:
            context["problems"] = error.problems
        except SurveyError as error:
            context["problems"] = [str(error)]
    return render(request, study, "import.html", **context, jobs=study_jobs(study)[:5])


def _do_import(request: HttpRequest, study: Study, asked: dict[str, Any]) -> Any:
    rules = {"leave_out_unmatched": asked["leave_out_unmatched"]}
    if asked["only_check"]:
        with zip_sources(asked["zip"]) as sources:
            report, _ = images_check(sources, **rules)
        if report.problems:
            raise ImportRefused(report.problems)
        return report
    report, _ = import_begin(study=study, file=asked["zip"], actor=request.user, class_names=asked["classes"], **rules)
    if report is not None:
        return report
    messages.success(request, "A worker imports the images; this page shows how far it is.")
    return HttpResponseRedirect(request.path)


@require_GET
@study_page()
def jobs(request: HttpRequest, study: Study) -> HttpResponse:
    """The list of jobs alone, asked for again while one runs."""
    context = {"study": study, "jobs": study_jobs(study)[:5]}
    return TemplateResponse(request, "admin/survey/_jobs.html", context)


@require_POST
@study_page()
def job_step(request: HttpRequest, study: Study, job: uuid.UUID, name: str) -> HttpResponse:
    """Cancel a job, or try a failed one again."""
    row = get_object_or_404(study_jobs(study), pk=job)
    if name == "cancel":
        work_cancel(row)
        messages.success(request, "The job stops at its next look.")
    elif name == "retry":
        job_retry(row)
        messages.success(request, "The job waits for a worker again.")
    return HttpResponseRedirect(study_address(study))
