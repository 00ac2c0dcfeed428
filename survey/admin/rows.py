"""Lists of the rows below studies: versions, pairs, sessions, trials, votes. Read-only; services write."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Case, CharField, F, QuerySet, Value, When
from django.http import HttpRequest

from survey.admin.access import StudyListFilter, StudyScopedAdmin
from survey.models import Exclusion, FaultReport, ImagePair, RaterSession, StudyVersion, Trial, Vote
from survey.selectors.access import studies_visible_to, user_studies_with_visible_results

__all__ = ["ExclusionAdmin", "ImagePairAdmin", "RaterSessionAdmin", "StudyVersionAdmin", "TrialAdmin", "VoteAdmin"]


@admin.register(StudyVersion)
class StudyVersionAdmin(StudyScopedAdmin):
    list_display = ["__str__", "number", "config_sha256", "frozen_at", "frozen_by"]
    list_filter = [StudyListFilter]
    list_select_related = ["study", "frozen_by"]
    ordering = ["-frozen_at"]


@admin.register(ImagePair)
class ImagePairAdmin(StudyScopedAdmin):
    list_display = ["key", "study", "kind", "class_label", "class_name", "seed", "is_selected"]
    list_filter = [StudyListFilter, "kind", "is_selected"]
    list_select_related = ["study"]
    search_fields = ["key"]
    ordering = ["study_id", "key"]


@admin.register(RaterSession)
class RaterSessionAdmin(StudyScopedAdmin):
    study_path = "version__study"
    list_display = ["__str__", "version", "state", "step", "is_pilot", "is_simulated", "started_at", "finished_at"]
    list_filter = [StudyListFilter, "state", "is_pilot", "is_simulated"]
    list_select_related = ["version__study"]
    search_fields = ["=id", "=rater__id"]
    ordering = ["-started_at"]
    exclude = ["tab", "seed"]


@admin.register(Trial)
class TrialAdmin(StudyScopedAdmin):
    """The arms of a trial are shown: a researcher made them. What was answered is on the vote, and may be hidden."""

    study_path = "session__version__study"
    list_display = ["__str__", "session", "position", "pair", "arm_left", "arm_right", "check_kind", "state"]
    list_filter = [StudyListFilter, "state", "check_kind"]
    list_select_related = ["session", "pair", "arm_left", "arm_right"]
    search_fields = ["=id", "=session__id"]
    ordering = ["-issued_at", "-pk"]


@admin.register(Vote)
class VoteAdmin(StudyScopedAdmin):
    """Every answer row. The choice stays hidden while the study's plan hides it: invariant of blind monitoring."""

    study_path = "trial__session__version__study"
    list_display = ["submitted_at", "study", "session", "trial", "shown_choice", "is_current", "response_ms"]
    list_filter = [StudyListFilter, "is_current"]
    list_select_related = ["trial__session__version__study"]
    search_fields = ["=trial__id", "=trial__session__id"]
    ordering = ["-pk"]
    fields = [
        "trial", "session", "study", "shown_choice", "is_current", "response_ms", "exposure_ms", "presentation",
        "submitted_at",
    ]  # fmt: skip

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
                    default=Value("hidden until closed"),
                    output_field=CharField(),
                )
            )
        )

    @admin.display(description="choice")
    def shown_choice(self, vote: Vote) -> str:
        return vote.readable_choice

    @admin.display(description="study")
    def study(self, vote: Vote) -> str:
        return vote.trial.session.version.study.slug

    @admin.display(description="session")
    def session(self, vote: Vote) -> str:
        return str(vote.trial.session)


@admin.register(Exclusion)
class ExclusionAdmin(StudyScopedAdmin):
    study_path = "session__version__study"
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
