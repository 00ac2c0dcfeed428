"""The form of a draft, in the four steps in which a researcher decides: each step can be saved by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings

from survey.admin.answer_editors import AnswerWords, Reasons
from survey.admin.editors import PLACEHOLDERS_HELP, Criteria, ExclusionRules, ExitQuestions, Recruitment
from survey.admin.nested import NestedField, TextArea
from survey.admin.translation_editor import translations_editor
from survey.models import Arm, Study
from survey.services.study.translations import language_problems, translation_problems

__all__ = ["STEPS", "ArmForm", "SetupStep", "StudyForm", "step_form"]


@dataclass(frozen=True)
class SetupStep:
    """A step: the fields that most studies decide, and those that have a sensible default."""

    name: str
    caption: str
    fields: str
    more: str = ""

    def names(self) -> list[str]:
        return [*self.fields.split(), *self.more.split()]


STEPS = [
    SetupStep("compare", "What is compared", "title slug comparisons baseline", "seed"),
    SetupStep(
        "read",
        "What raters read",
        "question are_ties_allowed criteria criteria_design instructions consent_text contact exit_questions",
        "organisation summary debrief are_prompts_shown reference_place is_wording_kept is_acceptable_asked "
        "strength_grades reasons are_reasons_required answer_words language translations",
    ),
    SetupStep(
        "plan",
        "Plan",
        "votes_per_pair trials_per_session target_raters stopping_rule planned_looks looks_spending equivalence_margin "
        "exclusion_rules",
        "practice_trials repeat_trials identical_trials degraded_trials display box_px least_box_px pixel_multiple "
        "narrow_screens near_lossless is_zoom_allowed minimum_exposure_ms break_every lease_minutes "
        "class_adjustment least_votes headline_criterion",
    ),
    SetupStep(
        "people",
        "People",
        "recruitment minutes payment eligibility",
        "ethics funding preregistration is_publication_consented is_free_text_published",
    ),
]

_TEXT_ROWS = {"summary": 3, "consent_text": 8, "instructions": 5, "question": 2, "debrief": 4}


class StudyForm(forms.ModelForm):
    """A draft's fields; ``baseline`` offers the study's own arms alone."""

    criteria = NestedField(
        Criteria, label="Several criteria", help_text="asked in place of the question above; none: that question alone"
    )
    exit_questions = NestedField(
        ExitQuestions, label="Exit questions", help_text="after the last pair; all are optional"
    )
    exclusion_rules = NestedField(
        ExclusionRules, label="Exclusion rules", help_text="fixed before the first vote; none sees which arm was chosen"
    )
    recruitment = NestedField(Recruitment)
    reasons = NestedField(
        Reasons, label="Reasons for the choice", help_text="to choose from after each vote; never in raters' own words"
    )
    answer_words = NestedField(AnswerWords, label="Wording of the answers", help_text="empty: the pages' own")

    class Meta:
        model = Study
        fields = [name for step in STEPS for name in step.names()]
        labels = {
            "slug": "Address",
            "comparisons": "Compare",
            "question": "Question",
            "criteria_design": "Several criteria are asked",
            "are_prompts_shown": "Show prompts above the pair",
            "is_wording_kept": "Browsers leave question and prompt untranslated",
            "consent_text": "Consent",
            "is_acceptable_asked": "Ask which images are good enough",
            "strength_grades": "Ask how much better it is",
            "are_reasons_required": "A reason is required",
            "are_ties_allowed": "Raters may answer “no preference”",
            "votes_per_pair": "Votes on each pair",
            "trials_per_session": "Pairs a rater answers",
            "target_raters": "Raters planned",
            "stopping_rule": "Looks at the results",
            "planned_looks": "How many looks",
            "looks_spending": "Spread over the looks",
            "practice_trials": "Practice pairs",
            "repeat_trials": "Repeated pairs",
            "identical_trials": "Pairs of the same image",
            "degraded_trials": "Pairs with a spoilt image",
            "box_px": "Largest box, CSS pixels",
            "least_box_px": "Smallest box, device pixels",
            "pixel_multiple": "Screen pixels to an image pixel",
            "near_lossless": "Lighter copies",
            "least_votes": "Votes after which a rater has finished",
            "minimum_exposure_ms": "Least time before an answer, ms",
            "is_zoom_allowed": "Raters may zoom",
            "reference_place": "The reference of a pair stands",
            "break_every": "A break every so many pairs",
            "lease_minutes": "Minutes that reserved pairs are kept",
            "recruitment": "Recruitment",
            "minutes": "Minutes a visit takes",
            "is_publication_consented": "Raters agree that anonymous answers are published",
            "is_free_text_published": "Raters agree that their own words are published",
        }
        help_texts = {"question": PLACEHOLDERS_HELP}
        widgets = {name: TextArea(attrs={"rows": rows, "cols": 90}) for name, rows in _TEXT_ROWS.items()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "baseline" in self.fields:
            arms = self.instance.arms.all() if self.instance.pk else Arm.objects.none()
            # Arms of other studies are no baseline, and their names may not be the user's to see.
            self.fields["baseline"].queryset = arms
        if "language" in self.fields:
            self.fields["language"].widget = forms.Select(choices=[("", "not said"), *settings.LANGUAGES])
        if "translations" in self.fields:
            # A field for each text that is stored: save a new text first, then translate it.
            self.fields["translations"] = NestedField(
                translations_editor(self.instance), help_text="a row a language, for each text that is saved"
            )

    def _checked(self, name: str, problems: Callable[[Any], list[str]]) -> Any:
        if found := problems(self.cleaned_data[name]):
            raise forms.ValidationError(found)
        return self.cleaned_data[name]

    def clean_language(self) -> Any:
        return self._checked("language", language_problems)

    def clean_translations(self) -> Any:
        return self._checked("translations", translation_problems)


def step_form(step: SetupStep) -> type[StudyForm]:
    """Return the form of one step."""
    wanted = step.names()
    left_out = {name: None for name in StudyForm.base_fields if name not in wanted}
    meta = type("Meta", (StudyForm.Meta,), {"fields": wanted})
    return type(f"{step.name.capitalize()}Form", (StudyForm,), {"Meta": meta, **left_out})


class ArmForm(forms.ModelForm):
    class Meta:
        model = Arm
        fields = ["name", "title", "description", "recipe"]
        widgets = {"recipe": forms.Textarea(attrs={"rows": 2, "cols": 36})}
