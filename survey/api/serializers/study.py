"""The shapes of studies, their steps and their versions."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from survey.api.serializers.base import MOST_TEXT, CheckedJSON, QuerySerializer, StrictSerializer, example
from survey.links import entry_link
from survey.models import (
    DeletedStudy,
    Study,
    StudyVersion,
)
from survey.recruitment import recruitment_problems
from survey.services.study.beyond import reason_problems, word_problems
from survey.services.study.criteria import criteria_problems
from survey.services.study.exit_questions import question_problems
from survey.services.study.plan import rule_problems
from survey.services.study.translations import language_problems, translation_problems


class StudyQuerySerializer(QuerySerializer):
    state = serializers.ChoiceField(choices=Study.State.choices, required=False)


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
    "criteria",
    "criteria_design",
    "debrief",
    "exit_questions",
    "language",
    "translations",
    "is_acceptable_asked",
    "strength_grades",
    "reasons",
    "are_reasons_required",
    "answer_words",
    "are_ties_allowed",
    "minimum_exposure_ms",
    "display",
    "box_px",
    "least_box_px",
    "pixel_multiple",
    "near_lossless",
    "narrow_screens",
    "is_zoom_allowed",
    "are_prompts_shown",
    "reference_place",
    "is_wording_kept",
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
    "planned_looks",
    "looks_spending",
    "headline_criterion",
    "least_votes",
    "equivalence_margin",
    "class_adjustment",
    "target_raters",
    "exclusion_rules",
    "eligibility",
    "ethics",
    "funding",
    "preregistration",
    "is_publication_consented",
    "is_free_text_published",
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
    """A draft's fields. ``baseline`` is the name of an arm that is there already; the slug is made from the title."""

    slug = serializers.SlugField(
        max_length=60, required=False, validators=[UniqueValidator(Study.objects.all())], help_text="of the address"
    )
    summary = serializers.CharField(max_length=MOST_TEXT, required=False, allow_blank=True)
    consent_text = serializers.CharField(max_length=MOST_TEXT, required=False, allow_blank=True)
    instructions = serializers.CharField(max_length=MOST_TEXT, required=False, allow_blank=True)
    debrief = serializers.CharField(max_length=MOST_TEXT, required=False, allow_blank=True)
    criteria = CheckedJSON(criteria_problems, required=False)
    exit_questions = CheckedJSON(question_problems, required=False)
    language = serializers.CharField(max_length=10, required=False, allow_blank=True)
    reasons = CheckedJSON(reason_problems, required=False)
    answer_words = CheckedJSON(word_problems, required=False)
    translations = CheckedJSON(translation_problems, required=False)
    exclusion_rules = CheckedJSON(rule_problems, required=False)
    recruitment = CheckedJSON(recruitment_problems, required=False)
    baseline = serializers.SlugField(max_length=60, required=False, allow_null=True)

    class Meta:
        model = Study
        fields = ["slug", "baseline", *_DRAFT]

    def validate_language(self, language: str) -> str:
        if problems := language_problems(language):
            raise serializers.ValidationError(problems)
        return language


@example({"votes_per_pair": 12, "baseline": "vanilla"})
class StudyPatchSerializer(StudyInputSerializer):
    """Any of a draft's fields. With another slug the study is found there from now on."""


class StepInputSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class StateSerializer(serializers.Serializer):
    state = serializers.ChoiceField(choices=Study.State.choices)
    job = serializers.UUIDField(allow_null=True, help_text="the job that carries the step out, where it takes long")


class DryRunSerializer(serializers.Serializer):
    problems = serializers.ListField(child=serializers.CharField(), help_text="prevent freezing")
    weaknesses = serializers.ListField(child=serializers.CharField(), help_text="a reviewer would ask about")
    windows = serializers.ListField(
        child=serializers.JSONField(), help_text="what each usual window makes of the study, and what a visit weighs"
    )
    copies_bytes = serializers.IntegerField(help_text="about the disk that the copies for raters will take")
    config_sha256 = serializers.CharField(help_text="of the design as it would be frozen now")


class VersionSerializer(serializers.ModelSerializer):
    frozen_by = serializers.StringRelatedField()

    class Meta:
        model = StudyVersion
        fields = ["number", "config", "config_sha256", "manifest_sha256", "consent_sha256", "frozen_at", "frozen_by"]


class DeletedStudySerializer(serializers.ModelSerializer):
    class Meta:
        model = DeletedStudy
        fields = ["slug", "title", "deleted_at", "last_sha256", "log"]
