"""What goes in and what comes out of the researchers' API. Rules stay in the services; shapes are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from jobs.models import Job
from survey.links import entry_link
from survey.models import (
    Arm,
    AuditEntry,
    DeletedStudy,
    Erasure,
    Exclusion,
    ImagePair,
    RaterSession,
    ReportBuild,
    Study,
    StudyMember,
    StudyVersion,
    Webhook,
    WebhookDelivery,
)
from survey.recruitment import recruitment_problems
from survey.services.study.plan import question_problems, rule_problems

TEXT = 20_000


def example(value: dict[str, Any]) -> Callable[[type], type]:
    """Show a body in the document and on the docs page; the tests call the operation with it."""
    return extend_schema_serializer(examples=[OpenApiExample("Example", value=value, request_only=True)])


def _no_null_bytes(value: Any) -> Any:
    """PostgreSQL stores no NUL in text or JSON: refuse it here, with a message, on every database."""
    if isinstance(value, str) and "\x00" in value:
        raise serializers.ValidationError("Null characters are not allowed.")
    if isinstance(value, dict):
        for key, inner in value.items():
            _no_null_bytes(key)
            _no_null_bytes(inner)
    if isinstance(value, list):
        for inner in value:
            _no_null_bytes(inner)
    return value


class CheckedJSON(serializers.JSONField):
    """A JSON value that a function finds no problems in."""

    def __init__(self, problems: Callable[[Any], list[str]] | None = None, **kwargs: Any) -> None:
        self.problems = problems
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Any:
        value = _no_null_bytes(super().to_internal_value(data))
        if self.problems and (found := self.problems(value)):
            raise serializers.ValidationError(found)
        return value


def _object_problems(value: Any) -> list[str]:
    return [] if isinstance(value, dict) else ["This is no JSON object."]


class StrictSerializer(serializers.Serializer):
    """Refuse fields that the operation does not know: a misspelt one must not be lost in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(map(str, data)) - set(self.fields))):
            raise serializers.ValidationError({name: ["There is no such field."] for name in unknown})
        return super().to_internal_value(data)


class QuerySerializer(serializers.Serializer):
    """The filters that a list offers, and no others."""

    cursor = serializers.CharField(required=False, help_text="where the page begins, as the answer before gave it")
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=500)

    def to_internal_value(self, data: Any) -> Any:
        if unknown := sorted(set(data) - set(self.fields)):
            raise serializers.ValidationError({name: ["There is no such filter."] for name in unknown})
        return super().to_internal_value(data)


class StudyQuerySerializer(QuerySerializer):
    state = serializers.ChoiceField(choices=Study.State.choices, required=False)


class PairQuerySerializer(QuerySerializer):
    class_label = serializers.CharField(required=False, max_length=60)
    kind = serializers.ChoiceField(choices=ImagePair.Kind.choices, required=False)


class SessionQuerySerializer(QuerySerializer):
    state = serializers.ChoiceField(choices=RaterSession.State.choices, required=False)
    is_pilot = serializers.BooleanField(required=False, default=None, allow_null=True)
    is_simulated = serializers.BooleanField(required=False, default=None, allow_null=True)


class VotesQuerySerializer(serializers.Serializer):
    as_format = serializers.ChoiceField(choices=["csv", "jsonl"], default="csv", required=False)
    is_pilot = serializers.BooleanField(required=False, default=False)


class ArmSerializer(serializers.ModelSerializer):
    class Meta:
        model = Arm
        fields = ["name", "description", "recipe"]


@example({"name": "robust", "description": "guided by the robust classifier"})
class ArmInputSerializer(StrictSerializer):
    name = serializers.SlugField(max_length=60)
    description = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    recipe = CheckedJSON(_object_problems, required=False, default=dict)


@example({"name": "robust_l2"})
class ArmRenameSerializer(StrictSerializer):
    name = serializers.SlugField(max_length=60)


_DRAFT = [
    "title",
    "seed",
    "organisation",
    "contact",
    "summary",
    "payment",
    "minutes",
    "consent_text",
    "instructions",
    "question",
    "debrief",
    "exit_questions",
    "are_ties_allowed",
    "minimum_exposure_ms",
    "pixel_multiple",
    "narrow_screens",
    "is_zoom_allowed",
    "comparisons",
    "votes_per_pair",
    "trials_per_session",
    "practice_trials",
    "repeat_trials",
    "identical_trials",
    "degraded_trials",
    "break_every",
    "lease_minutes",
    "stopping_rule",
    "least_votes",
    "equivalence_margin",
    "class_adjustment",
    "target_raters",
    "exclusion_rules",
    "recruitment",
]


class StudySerializer(serializers.ModelSerializer):
    """A study as it stands: its state and its draft."""

    baseline = serializers.SlugRelatedField(slug_field="name", read_only=True)
    role = serializers.SerializerMethodField(help_text="the caller's role")
    link = serializers.SerializerMethodField(help_text="the address to give to raters, or to the panel")

    class Meta:
        model = Study
        fields = ["slug", "state", "role", "link", "created_at", "baseline", *_DRAFT]
        read_only_fields = fields

    def get_role(self, study: Study) -> str:
        return self.context["roles"].get(study.pk, "owner")

    def get_link(self, study: Study) -> str:
        return entry_link(study)


class StudyInputSerializer(StrictSerializer, serializers.ModelSerializer):
    """A draft's fields. ``baseline`` is the name of an arm that is there already."""

    summary = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    consent_text = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    instructions = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    debrief = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)
    exit_questions = CheckedJSON(question_problems, required=False)
    exclusion_rules = CheckedJSON(rule_problems, required=False)
    recruitment = CheckedJSON(recruitment_problems, required=False)
    baseline = serializers.SlugField(max_length=60, required=False, allow_null=True)

    class Meta:
        model = Study
        fields = ["slug", "baseline", *_DRAFT]


@example({"votes_per_pair": 12, "baseline": "vanilla"})
class StudyPatchSerializer(StudyInputSerializer):
    """Any of a draft's fields. With another slug the study is found there from now on."""


class StepInputSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class StateSerializer(serializers.Serializer):
    state = serializers.ChoiceField(choices=Study.State.choices)
    job = serializers.UUIDField(allow_null=True, help_text="the job that carries the step out, where it takes long")


class DryRunSerializer(serializers.Serializer):
    problems = serializers.ListField(child=serializers.CharField(), help_text="forbid freezing")
    weaknesses = serializers.ListField(child=serializers.CharField(), help_text="a reviewer would ask about")
    config_sha256 = serializers.CharField(help_text="of the design as it would be frozen now")


class ImageSerializer(serializers.Serializer):
    arm = serializers.CharField(source="arm.name")
    sha256 = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()


class PairSerializer(serializers.ModelSerializer):
    images = ImageSerializer(many=True)

    class Meta:
        model = ImagePair
        fields = ["key", "kind", "class_label", "class_name", "seed", "index", "is_selected", "images"]


class VersionSerializer(serializers.ModelSerializer):
    frozen_by = serializers.StringRelatedField()

    class Meta:
        model = StudyVersion
        fields = ["number", "config", "config_sha256", "manifest_sha256", "consent_sha256", "frozen_at", "frozen_by"]


class SessionSerializer(serializers.ModelSerializer):
    version = serializers.IntegerField(source="version.number")

    class Meta:
        model = RaterSession
        fields = [
            "id",
            "rater",
            "version",
            "state",
            "outcome",
            "is_pilot",
            "is_simulated",
            "is_entry_verified",
            "trial_count",
            "answered_count",
            "started_at",
            "finished_at",
        ]


class ExclusionSerializer(serializers.ModelSerializer):
    made_by = serializers.StringRelatedField()

    class Meta:
        model = Exclusion
        fields = [
            "id",
            "session",
            "rule",
            "rule_version",
            "reason",
            "made_by",
            "made_at",
            "revoked_at",
            "revoke_reason",
        ]


@example({"rules": [{"rule": "too_fast"}], "is_preview": True})
class ExclusionInputSerializer(StrictSerializer):
    """One session by hand, or the sessions that rules flag; ``is_preview`` writes nothing."""

    session = serializers.UUIDField(required=False)
    reason = serializers.CharField(max_length=300, required=False)
    rules = CheckedJSON(rule_problems, required=False, help_text="default: the frozen plan's")
    is_pilot = serializers.BooleanField(required=False, default=False)
    is_preview = serializers.BooleanField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("session" in attrs) != ("reason" in attrs):
            raise serializers.ValidationError("An exclusion by hand needs both a session and a reason.")
        return attrs


class ProposalSerializer(serializers.Serializer):
    session = serializers.UUIDField(source="session_id")
    rule = serializers.CharField()
    rule_version = serializers.IntegerField()
    reason = serializers.CharField()
    is_in_force = serializers.BooleanField()


class JobMadeSerializer(serializers.Serializer):
    job = serializers.UUIDField(help_text="the job that does it; jobs/ shows how far it is, and its result")


@example({"keys": ["cat/0001", "cat/0002"], "is_selected": False})
class PairsInputSerializer(StrictSerializer):
    keys = serializers.ListField(child=serializers.CharField(max_length=300), min_length=1, max_length=10_000)
    is_selected = serializers.BooleanField(help_text="false leaves them out when the study is frozen")


@example({"keys": ["cat/0001"]})
class PairsRemoveSerializer(StrictSerializer):
    keys = serializers.ListField(child=serializers.CharField(max_length=300), min_length=1, max_length=10_000)


class PairsChangedSerializer(serializers.Serializer):
    changed = serializers.IntegerField()


@example({"panel_id": "5f2c0a9be1d34b0012ab34cd"})
class ErasureInputSerializer(StrictSerializer):
    panel_id = serializers.CharField(max_length=200)


class ErasureSerializer(serializers.ModelSerializer):
    """The proof that is left: a digest that a later request for the same id can be held against."""

    class Meta:
        model = Erasure
        fields = ["identity_digest", "votes_kept", "erased_at"]


class PanelRowSerializer(StrictSerializer):
    submission = serializers.CharField(max_length=200)
    status = serializers.CharField(max_length=40)
    code = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")


@example({"submissions": [{"submission": "65f0a1b2", "status": "APPROVED", "code": "C1ABCD"}]})
class ReconcileInputSerializer(StrictSerializer):
    """The panel's submissions, as its own API or export lists them."""

    submissions = PanelRowSerializer(many=True, allow_empty=False)


class DifferenceSerializer(serializers.Serializer):
    kind = serializers.CharField()
    submission = serializers.CharField()
    detail = serializers.CharField()
    remedy = serializers.CharField()


class ReconciliationSerializer(serializers.Serializer):
    matched = serializers.IntegerField()
    differences = DifferenceSerializer(many=True)


@example({"reason": "the rater wrote to us: the flash was off"})
class ReasonSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=300)


@example({"is_pilot": False})
class ReportInputSerializer(StrictSerializer):
    is_pilot = serializers.BooleanField(required=False, default=False)


class ReportSerializer(serializers.ModelSerializer):
    files = serializers.SerializerMethodField(help_text="name: {sha256, bytes}")

    class Meta:
        model = ReportBuild
        fields = ["id", "is_pilot", "job", "data_sha256", "ledger_revision", "files", "created_at", "finished_at"]

    def get_files(self, build: ReportBuild) -> dict[str, Any]:
        return {name: {key: file[key] for key in ("sha256", "bytes")} for name, file in build.files.items()}


class JobSerializer(serializers.ModelSerializer):
    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "state",
            "attempt",
            "progress_done",
            "progress_total",
            "progress_note",
            "result",
            "error",
            "created_at",
            "finished_at",
        ]


class AuditSerializer(serializers.ModelSerializer):
    class Meta:
        model = AuditEntry
        fields = ["number", "actor", "action", "detail", "at", "previous_sha256", "sha256"]


class DeletedStudySerializer(serializers.ModelSerializer):
    class Meta:
        model = DeletedStudy
        fields = ["slug", "title", "deleted_at", "last_sha256", "log"]


@example({"user": "berta", "role": "viewer"})
class MemberSerializer(serializers.ModelSerializer):
    user = serializers.CharField(source="user.username", max_length=150)

    class Meta:
        model = StudyMember
        fields = ["user", "role"]


class WebhookSerializer(serializers.ModelSerializer):
    """``secret`` signs what is sent; it is shown in the answer to making the webhook alone."""

    class Meta:
        model = Webhook
        fields = ["id", "url", "is_active", "created_at"]


class WebhookMadeSerializer(WebhookSerializer):
    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]


@example({"url": "https://lab.example.org/hooks/blindpair"})
class WebhookInputSerializer(StrictSerializer):
    url = serializers.URLField(max_length=500)


@example({"is_active": False})
class WebhookSwitchSerializer(StrictSerializer):
    is_active = serializers.BooleanField()


class DeliverySerializer(serializers.ModelSerializer):
    class Meta:
        model = WebhookDelivery
        fields = ["event", "payload", "attempts", "status_code", "error", "created_at", "delivered_at"]


@example({"count": 30})
class LinksInputSerializer(StrictSerializer):
    count = serializers.IntegerField(min_value=1, max_value=10_000)


class LinkBatchSerializer(serializers.Serializer):
    batch = serializers.IntegerField()
    count = serializers.IntegerField()
    revoked = serializers.IntegerField(help_text="links of the batch that were closed")


class LinksSerializer(serializers.Serializer):
    batch = serializers.IntegerField()
    links = serializers.ListField(child=serializers.CharField(), help_text="in the order of their numbers")


class PhaseSerializer(serializers.Serializer):
    name = serializers.CharField()
    started = serializers.IntegerField()
    working = serializers.IntegerField()
    completed = serializers.IntegerField()
    dropped = serializers.IntegerField()
    refused = serializers.IntegerField()
    votes = serializers.IntegerField()


class FlagSerializer(serializers.Serializer):
    name = serializers.CharField()
    count = serializers.IntegerField()
    total = serializers.IntegerField()
    meaning = serializers.CharField()


class ProgressSerializer(serializers.Serializer):
    """How a study goes; never which arm is preferred."""

    wanted = serializers.IntegerField()
    answered = serializers.IntegerField()
    reserved = serializers.IntegerField()
    target_raters = serializers.IntegerField()
    median_seconds = serializers.FloatField(allow_null=True)
    counted_votes = serializers.IntegerField(help_text="votes of the first phase that times and flags rest on")
    is_whole = serializers.BooleanField(help_text="false while votes are left to count: ask again")
    phases = PhaseSerializer(many=True)
    flags = FlagSerializer(many=True)


class ImportInputSerializer(StrictSerializer):
    zip = serializers.FileField(help_text="one folder per arm; images of a pair have the same path below it")
    classes = serializers.FileField(required=False, help_text="CSV of class_label,class_name: what raters read")
    leave_out_unmatched = serializers.BooleanField(required=False, default=False)
    is_check = serializers.BooleanField(required=False, default=False, help_text="report, and import nothing")


class ImportSerializer(serializers.Serializer):
    arms = serializers.ListField(child=serializers.CharField())
    pairs = serializers.IntegerField()
    new_pairs = serializers.IntegerField()
    notes = serializers.ListField(child=serializers.CharField())
    sha256 = serializers.CharField()
    job = serializers.UUIDField(allow_null=True)


@example({"raters": 30, "pairs": 200, "votes_per_rater": 40, "preference": 0.6})
class PlanningInputSerializer(StrictSerializer):
    raters = serializers.IntegerField(min_value=2, max_value=100_000)
    pairs = serializers.IntegerField(min_value=2, max_value=100_000)
    votes_per_rater = serializers.IntegerField(min_value=1, max_value=10_000)
    preference = serializers.FloatField(min_value=0.501, max_value=0.95)


class PlanningSerializer(serializers.Serializer):
    rate = serializers.FloatField()
    half_width = serializers.FloatField(help_text="of the 95 % interval")
    power = serializers.FloatField()
    ceiling_power = serializers.FloatField(help_text="with raters without end: the pairs are the limit")
    raters_needed = serializers.IntegerField(allow_null=True)
    pairs_needed = serializers.IntegerField(allow_null=True)
    method = serializers.CharField()
