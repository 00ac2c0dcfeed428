"""Lists of the rows below studies: versions, pairs, sessions, trials, votes. Read-only; services write."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Case, CharField, Exists, F, OuterRef, QuerySet, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from survey.admin.access import BooleanFilter, IdSearchAdmin, StudyListFilter, StudyScopedAdmin
from survey.models import DeletedStudy, Exclusion, FaultReport, ImagePair, RaterSession, StudyVersion, Trial, Vote
from survey.selectors.access import (
    deleted_studies_visible_to,
    studies_visible_to,
    user_studies_with_visible_results,
)
from survey.selectors.ids import ids_like

__all__ = ["ExclusionAdmin", "ImagePairAdmin", "RaterSessionAdmin", "StudyVersionAdmin", "TrialAdmin", "VoteAdmin"]


@admin.register(StudyVersion)
class StudyVersionAdmin(StudyScopedAdmin):
    list_display = ["__str__", "number", "design", "frozen_at", "frozen_by"]
    list_filter = [StudyListFilter]
    list_select_related = ["study", "frozen_by"]
    ordering = ["-frozen_at"]
    fields = ["study", "number", "design_file", "config_sha256", "manifest_sha256", "consent_sha256", "served_bytes"]
    fields += ["frozen_at", "frozen_by"]

    @admin.display(description="design")
    def design_file(self, version: StudyVersion) -> SafeString:
        # The canonical text alone has the digest; a table of it would be another text.
        address = reverse("admin:survey_study_version_json", args=[version.study_id, version.number])
        return format_html('<a href="{}">Download as canonical JSON</a>', address)

    @admin.display(description="design, SHA-256", ordering="config_sha256")
    def design(self, version: StudyVersion) -> str:
        """Return the beginning of the digest: the version's own page has all of it."""
        return f"{version.config_sha256[:16]}…"


@admin.register(ImagePair)
class ImagePairAdmin(StudyScopedAdmin):
    list_display = ["key", "study", "kind", "class_label", "class_name", "seed", "is_selected"]
    list_filter = [StudyListFilter, "kind", ("is_selected", BooleanFilter)]
    list_select_related = ["study"]
    search_fields = ["key"]
    ordering = ["study_id", "key"]


_PHASES = {
    "main": {"is_pilot": False, "is_simulated": False},
    "pilot": {"is_pilot": True},
    "simulated": {"is_simulated": True},
}


def phase_of(session: RaterSession) -> str:
    return "simulated" if session.is_simulated else "pilot" if session.is_pilot else "main"


class SessionPhaseFilter(admin.SimpleListFilter):
    """Main, pilot or simulated: sessions whose votes are never pooled."""

    title = "phase"
    parameter_name = "phase"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in _PHASES]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**_PHASES.get(self.value() or "", {}))


class VotePhaseFilter(SessionPhaseFilter):
    """The same of votes."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        wanted = _PHASES.get(self.value() or "")
        if wanted is None:
            return queryset
        # Row by row in the order of the list: a join would let the planner gather all sessions first.
        sessions = RaterSession.objects.filter(pk=OuterRef("session_id"), **wanted)
        return queryset.filter(Exists(Trial.objects.filter(pk=OuterRef("trial_id")).filter(Exists(sessions))))


@admin.register(RaterSession)
class RaterSessionAdmin(IdSearchAdmin):
    study_path = "version__study"
    study_tab = "sessions"
    list_display = ["__str__", "version", "phase", "simulated", "state", "step", "started_at", "finished_at"]
    list_filter = [StudyListFilter, SessionPhaseFilter, "state", ("is_simulated", BooleanFilter)]
    list_select_related = ["version__study"]
    search_help_text = "A session's or a rater's id, or its first eight letters or more"
    ordering = ["-started_at"]
    # The tab may vote, and the seed, which the assignment names too, decides the trials ahead: none belongs on a page.
    exclude = ["tab", "seed", "assignment"]

    def rows_like(self, text: str) -> dict[str, list[Any]]:
        return {"pk": ids_like(text, RaterSession.objects.all(), "pk", "rater__id")}

    @admin.display(description="phase")
    def phase(self, session: RaterSession) -> str:
        return phase_of(session)

    @admin.display(description="simulated", boolean=True)
    def simulated(self, session: RaterSession) -> bool:
        return session.is_simulated


@admin.register(Trial)
class TrialAdmin(IdSearchAdmin):
    """The trials that were shown. Their arms are named: a researcher made them. What was answered is on the vote."""

    study_path = "session__version__study"
    list_display = ["__str__", "session", "position", "pair", "arm_left", "arm_right", "check_kind", "state"]
    list_filter = [StudyListFilter, "state", "check_kind"]
    # Joins would let SQLite begin with all sessions; the rows of one page are fetched beside it.
    list_select_related = ()
    search_help_text = "A trial's or a session's id, or its first eight letters or more"
    ordering = ["-issued_at", "-pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trial]:
        # The index of the list's order holds these alone; a trial that nobody saw yet is not worth a look.
        rows = super().get_queryset(request).filter(issued_at__isnull=False)
        return rows.prefetch_related("session", "pair", "arm_left", "arm_right")

    def rows_like(self, text: str) -> dict[str, list[Any]]:
        return {"pk": ids_like(text, Trial.objects.all(), "pk", "session__id")}


@admin.register(Vote)
class VoteAdmin(IdSearchAdmin):
    """Every answer row. The choice stays hidden while the study's plan hides it: invariant of blind monitoring."""

    study_path = "trial__session__version__study"
    study_tab = "votes"
    list_display = [
        "submitted_at",
        "study",
        "phase",
        "is_simulated",
        "session",
        "trial",
        "shown_choice",
        "current",
        "seconds",
    ]
    list_filter = [StudyListFilter, VotePhaseFilter, ("is_current", BooleanFilter)]
    list_select_related = ["trial__session__version__study"]
    search_help_text = "A trial's or a session's id, or its first eight letters or more"
    ordering = ["-pk"]
    fields = [
        "trial",
        "session",
        "study",
        "phase",
        "shown_choice",
        "is_current",
        "response_ms",
        "exposure_ms",
        "presentation",
        "submitted_at",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Vote]:
        visible = user_studies_with_visible_results(studies_visible_to(request.user))
        return (
            super()
            .get_queryset(request)
            .annotate(
                readable_choice=Case(
                    When(trial__session__version__study_id__in=visible, then=F("choice")),
                    When(trial__session__is_pilot=True, then=F("choice")),
                    When(trial__session__is_simulated=True, then=F("choice")),
                    # In the query and not in the template: no other way of showing the column can forget it.
                    default=Value("hidden until closed"),
                    output_field=CharField(),
                )
            )
        )

    def rows_like(self, text: str) -> dict[str, list[Any]]:
        return {"trial": ids_like(text, Trial.objects.all(), "pk", "session__id")}

    @admin.display(description="choice")
    def shown_choice(self, vote: Vote) -> str:
        return vote.readable_choice

    @admin.display(description="study")
    def study(self, vote: Vote) -> str:
        return vote.trial.session.version.study.slug

    @admin.display(description="phase")
    def phase(self, vote: Vote) -> str:
        return phase_of(vote.trial.session)

    @admin.display(description="simulated", boolean=True)
    def is_simulated(self, vote: Vote) -> bool:
        return vote.trial.session.is_simulated

    @admin.display(description="current", boolean=True)
    def current(self, vote: Vote) -> bool:
        return vote.is_current

    @admin.display(description="seconds", ordering="response_ms")
    def seconds(self, vote: Vote) -> str:
        return "–" if vote.response_ms is None else f"{vote.response_ms / 1000:.2f}"

    @admin.display(description="session")
    def session(self, vote: Vote) -> str:
        return str(vote.trial.session)


@admin.register(Exclusion)
class ExclusionAdmin(StudyScopedAdmin):
    study_path = "session__version__study"
    study_tab = "exclusions"
    list_display = ["session", "rule", "rule_version", "reason", "made_by", "made_at", "revoked_at"]
    list_filter = [StudyListFilter, "rule"]
    list_select_related = ["session", "made_by"]
    ordering = ["-made_at"]


@admin.register(FaultReport)
class FaultReportAdmin(StudyScopedAdmin):
    study_path = "trial__session__version__study"
    list_display = ["trial", "kind", "detail", "reported_at"]
    list_filter = [StudyListFilter, "kind"]
    list_select_related = ["trial"]
    ordering = ["-reported_at"]


@admin.register(DeletedStudy)
class DeletedStudyAdmin(StudyScopedAdmin):
    """Drafts that were deleted, for those who deleted them: the study and its roles are gone."""

    list_display = ["slug", "title", "deleted_at", "deleted_by", "last_sha256"]
    list_select_related = ["deleted_by"]
    ordering = ["-deleted_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeletedStudy]:
        return deleted_studies_visible_to(request.user)
