"""The pages of one study: overview, steps, images, people, log. Thin: selectors read, services write."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_http_methods

from survey.admin import (
    data_pages,
    plots,
    recruitment_pages,
    release_page,
    setup_pages,
    thumbnails,
    webhook_pages,
    work_pages,
)
from survey.admin.page import View, download, jobs_context, render, study_address, study_page
from survey.admin.recipes import recipe_table
from survey.canonical import canonical_json
from survey.models import Arm, ImagePair, PairImage, ReportBuild, Study, StudyMember
from survey.selectors.access import are_results_visible, may_manage, studies_visible_to
from survey.selectors.progress import StudyProgress
from survey.services.access.member import member_remove, member_set
from survey.services.background import transition_begin
from survey.services.images.pairs import pairs_remove, pairs_select
from survey.services.records.audit import audit_first_break, audit_lines
from survey.services.results.progress import progress_of
from survey.services.results.report_build import is_report_readable
from survey.services.study.display import copies_bytes, disk_problems
from survey.services.study.transitions import study_steps, study_todos
from survey.services.study.version import version_config, version_problems
from survey.services.study.weaknesses import version_weaknesses
from survey.services.study.windows import windows_outlook

__all__ = ["urls"]

# Divides by the two, three, four or six pairs that fit beside each other.
PAIRS_A_PAGE = 24


def _todos(study: Study) -> list[dict[str, Any]]:
    places = {
        "edit": study_address(study, "setup", step="read"),
        "arms": study_address(study, "setup", step="compare"),
        "images": study_address(study, "import"),
        "freeze": study_address(study, "step", name="freeze"),
        "pilot": study_address(study, "step", name="pilot"),
        "exclusions": study_address(study, "exclusions"),
        "reports": study_address(study, "reports"),
        "": "",
    }
    todos = study_todos(study)
    first = next((todo for todo in todos if not todo.is_done and todo.place), None)
    return [vars(todo) | {"address": places[todo.place], "is_next": todo is first} for todo in todos]


@require_GET
@study_page()
def overview(request: HttpRequest, study: Study) -> HttpResponse:
    version = study.versions.order_by("-number").first()
    todos, arms, steps = _todos(study), list(study.arms.all()), study_steps(study)
    return render(
        request,
        study,
        "study.html",
        tab="overview",
        steps=steps,
        todos=todos,
        is_waiting=study.state == Study.State.RUNNING and not any(step.is_sensible for step in steps),
        # A rehearsal and a pilot are advice: recruitment may open without them.
        is_unready=study.state != Study.State.FROZEN and any(not todo["is_done"] for todo in todos),
        states=_rail(study),
        version=version,
        arms=arms,
        recipe_arms=[arm.title or arm.name for arm in arms],
        recipes=recipe_table([arm.recipe for arm in arms]),
        are_results_visible=are_results_visible(study),
        report=_newest_report(study),
        **jobs_context(study),
        **recruitment_pages.link_to_give(study),
        **_progress_context(progress_of(study)),
    )


def _newest_report(study: Study) -> ReportBuild | None:
    """Return the newest report of the main study, if it may be read."""
    build = study.reports.filter(is_pilot=False, finished_at__isnull=False).first()
    return build if build and is_report_readable(build) else None


@require_GET
@study_page()
def progress(request: HttpRequest, study: Study) -> HttpResponse:
    """The part of the overview that the page asks for again while raters vote."""
    context = _progress_context(progress_of(study)) | {"study": study}
    return TemplateResponse(request, "admin/survey/_progress.html", context)


def _rail(study: Study) -> list[tuple[str, bool]]:
    order = ["draft", "frozen", "piloting", "running", "paused", "closed", "archived"]
    return [(state, state == study.state) for state in order]


def _progress_context(state: StudyProgress) -> dict[str, Any]:
    total = 0
    cumulative = []
    for at, count in state.votes_over_time:
        total += count
        cumulative.append((at.strftime("%d %b" if state.time_unit == "day" else "%d %b %H:00"), total))
    return {
        "progress": state,
        "plot_votes": plots.line(cumulative, title="Votes over time", caption=f"votes, by {state.time_unit}"),
        "plot_times": plots.bars(
            [(f"{seconds:g} s", count) for seconds, count in state.response_times],
            title="Time per trial",
            caption="seconds from both images shown to the vote",
        ),
        "plot_pairs": plots.bars(
            [(str(votes), pairs) for votes, pairs in state.votes_per_pair],
            title="Votes per pair",
            caption="votes a pair has",
        ),
    }


@require_http_methods(["GET", "POST"])
@study_page()
def step(request: HttpRequest, study: Study, name: str) -> HttpResponse:
    """Confirm a transition, give the reason, do it."""
    # Another person may have moved the study on since the page was opened.
    current = next((item for item in study_steps(study) if item.name == name), None)
    if current is None and request.method == "GET":
        messages.warning(request, f"The study is {study.state}: that step is not possible now.")
        return HttpResponseRedirect(study_address(study))
    # The length that the API takes, too.
    reason = request.POST.get("reason", "").strip()[:500]
    if request.method == "POST" and not (current and current.needs_reason and not reason):
        job = transition_begin(study=study, name=name, actor=request.user, reason=reason)
        done = "a worker does it; this page shows how far it is." if job else "done."
        messages.success(request, f"{current.caption if current else name}: {done}")
        return HttpResponseRedirect(study_address(study))
    if request.method == "POST":
        messages.error(request, "Give a reason: it goes into the log.")
    context: dict[str, Any] = {"step": current, "tab": "overview"}
    if name == "close":
        context["progress"] = progress_of(study)
    if name == "freeze":
        context |= {
            "problems": version_problems(study) or disk_problems(study),
            "weaknesses": version_weaknesses(study),
            "windows": windows_outlook(study),
            "copies_gb": f"{copies_bytes(study) / 1e9:.2f}",
            "config": json.dumps(version_config(study), indent=2, ensure_ascii=False),
        }
    return render(request, study, "step.html", **context)


@require_http_methods(["GET", "POST"])
@study_page()
def pairs(request: HttpRequest, study: Study) -> HttpResponse:
    """All pairs with a thumbnail of every arm; in a draft, leave single ones out or remove all."""
    if request.method == "POST":
        return _change_pairs(request, study)
    rows = study.pairs.order_by("key")
    chosen = request.GET.get("class", "")
    if chosen:
        rows = rows.filter(class_label=chosen)
    if search := request.GET.get("q", "").strip():
        rows = rows.filter(key__icontains=search)
    page = Paginator(rows.prefetch_related("images"), PAIRS_A_PAGE).get_page(request.GET.get("p"))
    arms = list(study.arms.all())
    grid = [{"pair": pair, "cells": _cells(pair, arms)} for pair in page]
    classes = study.pairs.order_by("class_label").values_list("class_label", flat=True).distinct()[:1000]
    query = request.GET.copy()
    # The page number is what the links of the pager put in themselves.
    query.pop("p", None)
    return render(
        request,
        study,
        "pairs.html",
        tab="images",
        grid=grid,
        arms=arms,
        page=page,
        classes=list(classes),
        chosen=chosen,
        search=search,
        query=query.urlencode(),
    )


def _change_pairs(request: HttpRequest, study: Study) -> HttpResponse:
    doing = request.POST.get("do")
    if doing == "remove all" and request.POST.get("sure"):
        keys = list(study.pairs.values_list("key", flat=True))
        messages.success(request, f"{pairs_remove(study=study, keys=keys, actor=request.user)} pairs removed.")
    elif doing in {"leave out", "take in"}:
        pair = get_object_or_404(study.pairs, key=request.POST.get("key", ""))
        pairs_select(study=study, keys=[pair.key], is_selected=doing == "take in", actor=request.user)
    else:
        messages.error(request, "Tick the box first: removed pairs have to be imported or generated again.")
    return HttpResponseRedirect(request.get_full_path())


def _cells(pair: ImagePair, arms: list[Arm]) -> list[tuple[PairImage | None, Arm]]:
    by_arm = {image.arm_id: image for image in pair.images.all()}
    return [(by_arm.get(arm.pk), arm) for arm in arms]


@require_GET
@study_page()
def image(request: HttpRequest, study: Study, image: Any) -> HttpResponse:
    """A thumbnail, or with ``?full`` the stored picture."""
    row = thumbnails.image_of(study, image)
    if row is None:
        raise Http404
    return thumbnails.response(request, row, is_full="full" in request.GET)


@require_http_methods(["GET", "POST"])
@study_page(needs=may_manage)
def people(request: HttpRequest, study: Study) -> HttpResponse:
    if request.method == "POST":
        user = get_user_model().objects.filter(username=request.POST.get("user", "").strip(), is_active=True).first()
        if user is None:
            messages.error(request, "There is no active user with that name. An administrator can create one.")
        elif request.POST.get("do") == "remove":
            member_remove(study=study, user=user, actor=request.user)
        else:
            try:
                member_set(study=study, user=user, role=request.POST.get("role", ""), actor=request.user)
            except ValidationError as error:
                messages.error(request, "; ".join(error.messages))
        # Who takes away their own role has no page of this study to go back to.
        may_still_see = studies_visible_to(request.user).filter(pk=study.pk).exists()
        return HttpResponseRedirect(
            study_address(study, "people") if may_still_see else reverse("admin:survey_study_changelist")
        )
    members = study.members.select_related("user").order_by("role", "user__username")
    return render(
        request,
        study,
        "people.html",
        tab="people",
        members=members,
        roles=StudyMember.Role.choices,
        may_manage=may_manage(request.user, study),
    )


@require_GET
@study_page()
def preview(request: HttpRequest, study: Study) -> HttpResponse:
    """The raters' pages with the draft's own images, at the widths of a laptop and of a phone."""
    steps = ["landing", "consent", "device", "instructions", "trials", *(["questions"] if study.exit_questions else [])]
    step = request.GET.get("step", "trials")
    chosen = step if step in steps else "trials"
    languages = [study.language, *study.translations] if study.translations else []
    language = request.GET.get("lang") if request.GET.get("lang") in languages else study.language
    address, asked = reverse("survey:preview", args=[study.slug, chosen]), {"lang": language} if language else {}
    frames = [
        ("Laptop", 1366, 657, f"{address}?{urlencode(asked)}".removesuffix("?")),
        ("Phone", 390, 844, f"{address}?{urlencode(asked | {'as': 'phone'})}"),
    ]
    context = {"tab": "preview", "steps": steps, "chosen": chosen, "frames": frames}
    context |= {"languages": languages, "language": language}
    context["has_images"] = study.pairs.filter(is_selected=True).exists()
    response = render(request, study, "preview.html", **context)
    # For this page alone: it shows the raters' own pages in frames.
    response.csp_replace = {"frame-src": ["'self'"]}
    return response


@require_GET
@study_page()
def log(request: HttpRequest, study: Study) -> HttpResponse:
    page = Paginator(study.audit_entries.order_by("-number"), 100).get_page(request.GET.get("p"))
    entries = [(entry, _told(entry.detail)) for entry in page]
    context = {"tab": "log", "page": page, "entries": entries, "first_break": audit_first_break(study)}
    return render(request, study, "log.html", **context)


def _told(detail: dict[str, Any]) -> str:
    """Return what an entry of the log holds, without what is empty."""
    parts = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in detail.items()}
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in parts.items() if value not in ("", None))


@require_GET
@study_page()
def log_export(request: HttpRequest, study: Study) -> HttpResponse:
    """The whole chain as JSON lines, digests included."""

    body = StreamingHttpResponse(audit_lines(study), content_type="application/jsonl")
    return download(body, f"{study.slug}-log.jsonl")


@require_GET
@study_page()
def version_json(request: HttpRequest, study: Study, number: int) -> HttpResponse:
    """A version's canonical configuration: its SHA-256 is the one printed for the preregistration."""
    version = get_object_or_404(study.versions, number=number)
    body = HttpResponse(canonical_json(version.config), content_type="application/json")
    return download(body, f"{study.slug}-v{version.number}.json")


def urls(model_admin: admin.ModelAdmin) -> list[URLPattern]:
    """Return the addresses of all pages, each behind the admin's login."""

    def page(route: str, view: View, name: str) -> URLPattern:
        return path(f"<int:pk>/{route}", model_admin.admin_site.admin_view(view), name=f"survey_study_{name}")

    return [
        page("", overview, "page"),
        page("progress/", progress, "progress"),
        page("step/<slug:name>/", step, "step"),
        page("setup/<slug:step>/", setup_pages.setup, "setup"),
        page("pairs/", pairs, "pairs"),
        page("image/<uuid:image>/", image, "image"),
        page("preview/", preview, "preview"),
        page("people/", people, "people"),
        page("log/", log, "log"),
        page("log.jsonl", log_export, "log_export"),
        page("version/<int:number>.json", version_json, "version_json"),
        page("recruitment/", recruitment_pages.recruitment, "recruitment"),
        page("links/<int:batch>.csv", recruitment_pages.links_csv, "links_csv"),
        page("links/<int:batch>/", recruitment_pages.links_print, "links_print"),
        page("exclusions/", data_pages.exclusions, "exclusions"),
        page("exclusion/<int:exclusion>/revoke/", data_pages.revoke, "exclusion_revoke"),
        page("reports/", data_pages.reports, "reports"),
        page("release/", release_page.release, "release"),
        page("release/<uuid:job>.zip", release_page.release_file, "release_file"),
        page("report/<int:build>/<path:name>", data_pages.report_file, "report_file"),
        page("planning/", data_pages.planning, "planning"),
        page("webhooks/", webhook_pages.webhooks, "webhooks"),
        page("import/", work_pages.import_images, "import"),
        page("jobs/", work_pages.jobs, "jobs"),
        page("job/<uuid:job>/<slug:name>/", work_pages.job_step, "job_step"),
    ]
