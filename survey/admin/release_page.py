"""The release of a finished study: asked for with a licence, made by a worker, downloaded as a zip."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods

from survey.admin.page import download, jobs_context, render, study_address, study_page
from survey.models import Study
from survey.reports.raters import LEAST_CELL
from survey.reports.release.release import LICENSES, ReleaseOptions, release_problems
from survey.selectors.access import may_manage
from survey.services.results.release_build import RELEASE, release_current, release_request
from survey.services.results.report_build import are_results_hidden, results_require_visible

__all__ = ["release", "release_file"]


class ReleaseForm(forms.Form):
    """What the owner decides. The licence has no default: it is the owner's to give."""

    license = forms.CharField(
        label="Licence",
        max_length=200,
        widget=forms.TextInput(attrs={"list": "licenses"}),
        help_text=f"{', '.join(LICENSES)}, or the address of another licence.",
    )
    url = forms.URLField(
        label="Where the release will be found", required=False, assume_scheme="https", help_text="If known."
    )
    least_cell = forms.IntegerField(
        label="Raters who must share a value",
        min_value=1,
        max_value=1000,
        initial=LEAST_CELL,
        help_text="In the published table of raters, what fewer of them share is left empty.",
    )

    def __init__(self, *args: Any, arms: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arms = arms
        for place, arm in enumerate(arms):
            self.fields[f"arm_{place}"] = forms.CharField(
                label=f"Published name of {arm}", max_length=60, required=False, help_text="Empty: its own."
            )

    def clean(self) -> dict[str, Any]:
        asked = super().clean()
        given = {arm: asked.get(f"arm_{place}") for place, arm in enumerate(self.arms)}
        names = {arm: name for arm, name in given.items() if name}
        options = {
            "license": asked.get("license", ""),
            "url": asked.get("url", ""),
            "least_cell": asked.get("least_cell") or LEAST_CELL,
            "arm_names": names,
        }
        if not self.errors and (problems := ReleaseOptions(**options).problems(self.arms)):
            raise forms.ValidationError(problems)
        return options


@require_http_methods(["GET", "POST"])
@study_page(needs=may_manage)
def release(request: HttpRequest, study: Study) -> HttpResponse:
    arms = list(study.arms.order_by("name").values_list("name", flat=True))
    form = ReleaseForm(request.POST or None, arms=arms)
    is_hidden = are_results_hidden(study)
    problems = [] if is_hidden else release_problems(study)
    if request.method == "POST" and form.is_valid() and not problems:
        release_request(study=study, actor=request.user, options=form.cleaned_data)
        messages.success(request, "A worker writes the release; this page shows how far it is.")
        return HttpResponseRedirect(study_address(study, "release"))
    return render(
        request,
        study,
        "release.html",
        tab="release",
        form=form,
        licenses=LICENSES,
        problems=problems,
        is_hidden=is_hidden,
        may_release=may_manage(request.user, study),
        current=None if is_hidden else release_current(study),
        **jobs_context(study, RELEASE),
    )


@require_GET
@study_page()
def release_file(request: HttpRequest, study: Study, job: uuid.UUID) -> HttpResponse:
    """The zip of the release that is kept; none other has a file."""
    results_require_visible(study)
    row = release_current(study)
    if row is None or row.pk != job:
        raise Http404
    response = FileResponse(default_storage.open(row.result["file"]), content_type="application/zip")
    response["ETag"] = f'"{row.result["sha256"]}"'
    return download(response, f"{study.slug}-release.zip")
