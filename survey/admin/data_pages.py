"""Pages about a study's data: exclusions, reports, and the planning of how much is needed."""

from __future__ import annotations

import math
import mimetypes
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from survey.admin import plots
from survey.admin.page import download, jobs_context, render, study_address, study_page
from survey.exceptions import ExclusionRefused, ResultsHidden
from survey.models import Exclusion, ImagePair, RaterSession, ReportBuild, Study
from survey.reports.screening import exclusion_proposals, rules_that_wait
from survey.selectors.ids import ids_like
from survey.selectors.jobs import study_jobs
from survey.selectors.version import comparisons_of, version_current
from survey.selectors.vote import current_votes
from survey.services.background import SCREENING, exclusions_begin, is_screening_long
from survey.services.results.exclusion import exclusion_by_hand, exclusion_revoke, exclusions_apply
from survey.services.results.report_build import (
    is_report_readable,
    looks_left,
    report_request,
    report_require_readable,
    results_require_visible,
)
from survey.services.study.criteria import MOST_CRITERIA, blocks_of
from survey.services.study.plan import looks_price_of, power_of, rule_captions, rules_described
from survey.services.study.windows import windows_outlook

__all__ = ["exclusions", "planning", "report_file", "reports", "revoke"]


# Exclusions -----------------------------------------------------------------------------------------------------------


def _asked_rules(request: HttpRequest) -> tuple[str, list[dict] | None]:
    """Return which rules are asked for: the frozen plan's (None), or one or all with their defaults."""
    name = request.POST.get("rules") or request.GET.get("rules", "")
    known = rule_captions()
    if name == "all":
        return name, []
    return (name, [{"rule": name}]) if name in known else ("plan", None)


@require_http_methods(["GET", "POST"])
@study_page()
def exclusions(request: HttpRequest, study: Study) -> HttpResponse:
    """Preview what rules would exclude, apply it, exclude by hand; the ledger below."""
    is_pilot = (request.POST.get("phase") or request.GET.get("phase")) == "pilot"
    name, rules = _asked_rules(request)
    if request.method == "POST":
        if request.POST.get("do") == "hand":
            _exclude_by_hand(request, study)
            return HttpResponseRedirect(study_address(study, "exclusions"))
        return _screen(request, study, name, rules, is_pilot)
    proposals, screened = None, None
    # An address can be kept while votes grow: then the page must not screen them all by itself.
    if "preview" in request.GET and not is_screening_long(study, is_pilot=is_pilot):
        try:
            proposals = exclusion_proposals(study, rules=rules, is_pilot=is_pilot)
        except ResultsHidden as error:
            messages.error(request, str(error))
    elif screened := study_jobs(study).filter(kind=SCREENING, state="succeeded").first():
        name, is_pilot = _screened_name(screened.parameters["rules"]), screened.parameters["is_pilot"]
    version, captions = version_current(study), rule_captions()
    ledger = (
        Exclusion.objects.filter(session__version__study=study)
        .select_related("session", "made_by", "revoked_by")
        .order_by("-pk")
    )
    return render(
        request,
        study,
        "exclusions.html",
        tab="exclusions",
        proposals=proposals,
        rules_name=name,
        is_pilot=is_pilot,
        screened=screened,
        **jobs_context(study, SCREENING),
        captions=captions,
        waiting=[captions[name] for name in rules_that_wait(study)],
        plan=rules_described(version.config["analysis"]["exclusion_rules"]) if version else [],
        version=version,
        page=Paginator(ledger, 50).get_page(request.GET.get("p")),
    )


def _screen(
    request: HttpRequest, study: Study, name: str, rules: list[dict] | None, is_pilot: bool
) -> HttpResponseRedirect:
    """Preview or apply rules: at once, or by a worker where there are many votes."""
    is_preview = request.POST.get("do") == "preview"
    address = study_address(study, "exclusions")
    job = exclusions_begin(study=study, rules=rules, is_pilot=is_pilot, is_preview=is_preview, actor=request.user)
    if job:
        messages.success(request, "A worker screens the votes; this page shows how far it is. Reload it then.")
    elif is_preview:
        address += "?" + urlencode({"preview": 1, "rules": name, "phase": "pilot" if is_pilot else "main"})
    else:
        proposals = exclusion_proposals(study, rules=rules, is_pilot=is_pilot)
        count = exclusions_apply(study=study, proposals=proposals, actor=request.user)
        messages.success(request, f"{count} exclusion(s) written to the ledger.")
    return HttpResponseRedirect(address)


def _screened_name(rules: list[dict] | None) -> str:
    """Return the choice of the form that asked for these rules."""
    return "plan" if rules is None else rules[0]["rule"] if len(rules) == 1 else "all"


def _exclude_by_hand(request: HttpRequest, study: Study) -> None:
    sessions = RaterSession.objects.filter(version__study=study)
    found = ids_like(request.POST.get("session", ""), sessions, "pk")
    # A beginning that fits two sessions must not exclude one of them.
    if len(found) != 1:
        raise ExclusionRefused("Give the session's id, or its first eight letters or more: no one session begins so.")
    exclusion_by_hand(study=study, session_id=found[0], reason=request.POST.get("reason", ""), actor=request.user)
    messages.success(request, "The session is excluded.")


@require_POST
@study_page()
def revoke(request: HttpRequest, study: Study, exclusion: int) -> HttpResponse:
    row = get_object_or_404(Exclusion, pk=exclusion, session__version__study=study)
    exclusion_revoke(exclusion=row, reason=request.POST.get("reason", ""), actor=request.user)
    messages.success(request, "The exclusion is taken back; the session counts again.")
    return HttpResponseRedirect(study_address(study, "exclusions"))


# Reports --------------------------------------------------------------------------------------------------------------

_CAPTIONS = {
    "report.html": "Report to read (HTML, one file)",
    "report.pdf": "Report to print (PDF)",
    "report.json": "Every number (JSON)",
    "votes.csv": "Votes (CSV)",
    "datapackage.json": "Description of the votes (data package)",
    "data_dictionary.csv": "What each column means",
    "showings.jsonl": "How each trial looked on screen",
    "manifest.jsonl": "Images with their digests",
    "recipes.jsonl": "How each image was made",
    "exclusions.csv": "Ledger of exclusions",
    "log.jsonl": "Log, hash-chained",
}


# The one file that opens in a tab; all others are downloaded.
READABLE = "report.html"
# A report shows its own pictures and styles and nothing else. In its sandbox it is no page of this site: what may have
# got into it by a name or a text could neither run nor act for whoever reads it.
_REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox allow-popups"
)


@require_http_methods(["GET", "POST"])
@study_page()
def reports(request: HttpRequest, study: Study) -> HttpResponse:
    if request.method == "POST":
        report_request(study=study, actor=request.user, is_pilot=request.POST.get("phase") == "pilot")
        messages.success(request, "A worker builds the report; this page shows how far it is.")
        return HttpResponseRedirect(study_address(study, "reports"))
    builds = [_build_row(build) for build in study.reports.select_related("study", "version", "made_by")[:10]]
    return render(
        request,
        study,
        "reports.html",
        tab="reports",
        builds=builds,
        is_visible=_may_report(study),
        looks=looks_left(study),
        **jobs_context(study, "survey.report"),
        has_pilot=current_votes(study, is_pilot=True).exists(),
        has_votes=current_votes(study).exists(),
    )


def _build_row(build: ReportBuild) -> dict[str, Any]:
    return {
        "build": build,
        "is_readable": is_report_readable(build),
        "main": _listed(build.files),
        "more": sorted(set(build.files) - {*_CAPTIONS, "bundle.zip"}),
    }


def _may_report(study: Study) -> bool:
    try:
        results_require_visible(study)
    except ResultsHidden:
        return False
    return True


def _listed(files: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(name, caption, files[name]) for name, caption in _CAPTIONS.items() if name in files]


@require_GET
@study_page()
def report_file(request: HttpRequest, study: Study, build: int, name: str) -> HttpResponse:
    """One file of a build. Only names that the build lists are served: no path is made from the address."""
    row = get_object_or_404(study.reports, pk=build)
    # Again at each download: a revised plan may hide what could be seen when the report was built.
    report_require_readable(row)
    entry = row.files.get(name)
    if entry is None or not default_storage.exists(entry["name"]):
        raise Http404
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    response = FileResponse(default_storage.open(entry["name"]), content_type=kind)
    # Files of a build never change: their digest is their tag.
    response["ETag"] = f'"{entry["sha256"]}"'
    if name == READABLE and "download" not in request.GET:
        response["Content-Security-Policy"] = _REPORT_POLICY
        return response
    return download(response, f"{study.slug}-{row.pk}-{name.replace('/', '-')}")


# Planning -------------------------------------------------------------------------------------------------------------


class PlanningForm(forms.Form):
    raters = forms.IntegerField(min_value=2, max_value=100_000, label="Raters")
    pairs = forms.IntegerField(min_value=2, max_value=100_000, label="Pairs")
    votes_per_rater = forms.IntegerField(min_value=1, max_value=10_000, label="Votes of each rater", required=False)
    votes_per_pair = forms.IntegerField(min_value=1, max_value=100_000, label="Votes on each pair", required=False)
    preference = forms.FloatField(min_value=0.501, max_value=0.95, label="Preference rate worth finding")
    criteria = forms.IntegerField(min_value=1, max_value=MOST_CRITERIA, label="Criteria", required=False)

    def clean(self) -> dict[str, Any]:
        """Fill in what each rater gives from what each pair gets, where that alone is asked."""
        asked = super().clean()
        if self.errors:
            return asked
        load, votes, raters = asked["votes_per_rater"], asked["votes_per_pair"], asked["raters"]
        asked["criteria"] = asked["criteria"] or 1
        if load:
            return asked
        if not votes:
            raise forms.ValidationError("Give the votes of each rater, or those on each pair, or both.")
        if votes > raters:
            raise forms.ValidationError(f"{votes} votes on each pair need as many raters: nobody sees a pair twice.")
        # Rounded up: every pair gets at least the votes that were asked for, and nobody is beyond the places.
        return asked | {"votes_per_rater": math.ceil(votes * asked["pairs"] / raters), "votes_per_pair": None}


# Beyond so many raters the simulation of looks would keep the page waiting.
_MOST_SIMULATED = 5_000


def _looks_percent(study: Study, asked: dict[str, Any], raters: int) -> dict[str, Any]:
    """Return the power in percent under the study's looks, or under looks at any time, and what they are called."""
    asked = {name: asked[name] for name in ("pairs", "votes_per_rater", "preference")} | {"raters": raters}
    if study.stopping_rule == Study.StoppingRule.PLANNED:
        price = looks_price_of(**asked, looks=study.planned_looks, spending=study.looks_spending)
        return {
            "looks_percent": f"{100 * price['power']:.0f}",
            "looks_caption": f"Power at the last of {study.planned_looks} looks",
        }
    # Of a design small enough to simulate in a page.
    if raters > _MOST_SIMULATED:
        return {}
    price = looks_price_of(**asked)
    return {"looks_percent": f"{100 * price['power']:.0f}", "looks_caption": "Power if results are looked at any time"}


@require_GET
@study_page()
def planning(request: HttpRequest, study: Study) -> HttpResponse:
    """Raters x pairs x votes -> width of the headline interval and power, with the ceiling that pairs set."""
    pairs = study.pairs.filter(is_selected=True, kind=ImagePair.Kind.MAIN).count()
    comparisons = max(1, len(comparisons_of(study)))
    start = {
        "raters": study.target_raters,
        "pairs": max(2, pairs) if pairs else 100,
        "votes_per_rater": max(1, study.trials_per_session // (comparisons * blocks_of(study))),
        "votes_per_pair": study.votes_per_pair,
        "criteria": max(1, len(study.criteria)),
        "preference": 0.6,
    }
    form = PlanningForm(request.GET if "raters" in request.GET else start)
    context: dict[str, Any] = {"tab": "planning", "form": form, "comparisons": comparisons}
    if form.is_valid():
        asked = form.cleaned_data
        plan = power_of(**asked)
        context |= {
            "plan": plan,
            "power_percent": f"{100 * plan['power']:.0f}",
            "ceiling_percent": f"{100 * plan['ceiling_power']:.0f}",
            "width_percent": f"{100 * plan['half_width']:.1f}",
            **_looks_percent(study, asked, plan["raters_with_places"]),
            "others_percent": "" if plan["power_of_others"] is None else f"{100 * plan['power_of_others']:.0f}",
            "votes_of_rater": f"{round(plan['votes'] / plan['raters_with_places'], 1):g}",
            "votes_on_pair": f"{round(plan['votes'] / plan['pairs'], 1):g}",
        }
        steps = sorted({max(2, round(asked["raters"] * factor)) for factor in (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4)})
        curve = [power_of(**(asked | {"raters": raters})) for raters in steps]
        context["curve"] = curve
        context["plot_power"] = plots.line(
            [(str(point["raters"]), round(100 * point["power"], 1)) for point in curve],
            title="Power by raters",
            caption="power in percent, by number of raters",
            goal=round(100 * plan["ceiling_power"], 1),
        )
        context["plot_width"] = plots.line(
            # With a handful of raters the interval is wider than all rates there are.
            [(str(point["raters"]), round(min(50, 100 * point["half_width"]), 2)) for point in curve],
            title="Half width by raters",
            caption="percentage points, by number of raters",
        )
    return render(request, study, "planning.html", windows=windows_outlook(study), **context)
