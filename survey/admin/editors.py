"""The editors of a study's JSON fields: exit questions, exclusion rules, recruitment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from survey.admin.nested import PartForm, RowForm, Rows, TextArea
from survey.recruitment import PROVIDERS, recruitment_faults
from survey.recruitment.base import OUTCOMES
from survey.selectors.rater import question_kind
from survey.services.study.criteria import MOST_CRITERIA, criterion_faults
from survey.services.study.exit_questions import FIELDS, KINDS, LONGEST_TEXT, question_faults
from survey.services.study.plan import PlanRule, rule_faults, rules_known

__all__ = ["PLACEHOLDERS_HELP", "ExclusionRules", "ExitQuestions", "Recruitment"]

PLACEHOLDERS_HELP = "{class_name} and {prompt} are replaced by the class name and the prompt of the pair"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


# --- exit questions --------------------------------------------------------------------------------------------------


class ExitQuestionForm(RowForm):
    caption = forms.CharField(label="Question", max_length=500, widget=forms.Textarea(attrs={"rows": 2, "cols": 60}))
    kind = forms.ChoiceField(label="Answer", choices=[(kind, text) for kind, text in KINDS.items()])
    name = forms.CharField(
        label="Name in files", max_length=60, help_text="letters, digits and _, such as age: the column answer_age"
    )
    options = forms.CharField(
        required=False, label="Answers, one a line", widget=forms.Textarea(attrs={"rows": 4, "cols": 40})
    )
    minimum = forms.FloatField(required=False, label="At least")
    maximum = forms.FloatField(required=False, label="At most")
    length = forms.IntegerField(
        required=False, label="Characters at most", min_value=1, max_value=LONGEST_TEXT, initial=300
    )

    @classmethod
    def initial_of(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        options = entry.get("options") if isinstance(entry.get("options"), list) else []
        return {"length": None} | dict(entry) | {"kind": question_kind(entry), "options": "\n".join(map(str, options))}

    @classmethod
    def normal(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        kind = question_kind(entry)
        # Fields of other kinds are hidden: whatever stands in them is not meant.
        wanted = ("name", "caption", "kind", *FIELDS.get(kind, ()))
        kept = {name: (entry | {"kind": kind}).get(name) for name in wanted}
        return {name: _whole(value) for name, value in kept.items() if value not in (None, [])}

    def entry(self) -> dict[str, Any]:
        return self.normal(self.cleaned_data | {"options": _lines(self.cleaned_data.get("options", ""))})

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not self.errors:
            for field, text in question_faults(self.entry()):
                self.add_error(field, text)
        return given


def _whole(value: Any) -> Any:
    """Return a number as people write it: 18 and not 18.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class ExitQuestions(Rows):
    form = ExitQuestionForm
    row_name, unique = "question", "name"


# --- criteria --------------------------------------------------------------------------------------------------------


class CriterionForm(RowForm):
    question = forms.CharField(
        max_length=300, help_text=PLACEHOLDERS_HELP, widget=forms.Textarea(attrs={"rows": 2, "cols": 60})
    )
    definition = forms.CharField(
        required=False,
        max_length=2000,
        label="Definition, shown when a rater asks for it",
        widget=TextArea(attrs={"rows": 2, "cols": 60}),
    )
    key = forms.CharField(
        label="Name in files", max_length=40, help_text="letters, digits and _, such as detail: the column criterion"
    )
    is_tie_allowed = forms.BooleanField(required=False, initial=True, label="Raters may answer “no preference”")

    @classmethod
    def initial_of(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {"is_tie_allowed": True} | dict(entry)

    @classmethod
    def normal(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: entry.get(name) for name in ("key", "question", "definition", "is_tie_allowed")}
        # What goes without saying is not stored.
        return {name: value for name, value in kept.items() if value not in (None, "", True)}

    def entry(self) -> dict[str, Any]:
        return self.normal(self.cleaned_data)

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not self.errors:
            for field, text in criterion_faults(self.entry()):
                self.add_error(field, text)
        return given


class Criteria(Rows):
    form = CriterionForm
    row_name, unique = "criterion", "key"
    max_num = MOST_CRITERIA


# --- exclusion rules -------------------------------------------------------------------------------------------------


class ExclusionRules(PartForm):
    """All the rules there are: tick those of the plan, and change their limits."""

    template = "admin/survey/nested/rules.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rules = rules_known()
        for rule in self.rules:
            self.fields[rule.name] = forms.BooleanField(required=False, label=rule.caption)
            for name, default in rule.defaults.items():
                field = forms.FloatField(required=False, label=name.replace("_", " "), initial=_whole(default))
                field.widget.attrs |= {"step": "any", "class": "bp-short"}
                self.fields[f"{rule.name}-{name}"] = field

    @classmethod
    def initial_of(cls, value: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in value if isinstance(value, list) else []:
            if isinstance(entry, Mapping) and isinstance(entry.get("rule"), str):
                found[entry["rule"]] = True
                given = entry.get("parameters") or {}
                found |= {f"{entry['rule']}-{name}": _whole(limit) for name, limit in given.items()}
        return found

    def table(self) -> list[dict[str, Any]]:
        """Return a row a rule for the template."""
        return [
            {"use": self[rule.name], "limits": [self[f"{rule.name}-{name}"] for name in rule.defaults]}
            for rule in self.rules
        ]

    @classmethod
    def normal(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        given = {entry.get("rule"): entry.get("parameters") or {} for entry in value if isinstance(entry, Mapping)}
        return [_rule_entry(rule, given[rule.name]) for rule in rules_known() if rule.name in given]

    def _entry(self, rule: PlanRule) -> dict[str, Any]:
        return _rule_entry(rule, {name: self.cleaned_data.get(f"{rule.name}-{name}") for name in rule.defaults})

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        for rule in self.rules:
            if given.get(rule.name):
                for name, text in rule_faults(self._entry(rule)):
                    self.add_error(f"{rule.name}-{name}", text)
        return given

    def value(self) -> list[dict[str, Any]]:
        return [self._entry(rule) for rule in self.rules if self.cleaned_data[rule.name]]


def _rule_entry(rule: PlanRule, given: Mapping[str, float | None]) -> dict[str, Any]:
    # Only what differs from the rule's own limits is a decision of the study.
    changed = {name: _whole(at) for name, at in given.items() if at is not None and at != rule.defaults.get(name)}
    return {"rule": rule.name} | ({"parameters": changed} if changed else {})


# --- recruitment -----------------------------------------------------------------------------------------------------

_PROVIDER_CAPTIONS = {
    "open": "one open link: raters are anonymous",
    "personal": "a personal link for each rater",
    "prolific": "Prolific",
    "mturk": "Mechanical Turk",
}
_CODES = {"complete": "complete", "screen": "screen too small", "full": "no places left", "withdrawn": "withdrawn"}
_ORIGINS = {"frame_ancestors": "Sites that may frame the pages", "form_action": "Sites that the end may be posted to"}


class Recruitment(PartForm):
    """Where raters come from, and with which code they go back."""

    template = "admin/survey/nested/recruitment.html"
    _FIRST = ("provider", "study_id", "is_unsigned")

    provider = forms.ChoiceField(
        label="Raters come by", choices=[(name, _PROVIDER_CAPTIONS.get(name, name)) for name in PROVIDERS]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for outcome in OUTCOMES:
            self.fields[outcome] = forms.CharField(required=False, max_length=40, label=f"Code: {_CODES[outcome]}")
        self.fields["study_id"] = forms.CharField(required=False, max_length=60, label="Study id at Prolific")
        self.fields["is_unsigned"] = forms.BooleanField(
            required=False, label="Prolific: take unsigned entries (ids can then be forged)"
        )
        self.fields["completion_url"] = forms.CharField(
            required=False,
            max_length=500,
            label="Address that raters return to",
            help_text="empty: the panel's own; {code} is replaced by the completion code",
        )
        for name, caption in _ORIGINS.items():
            self.fields[name] = forms.CharField(
                required=False,
                label=caption,
                help_text="one a line, such as https://worker.mturk.com; empty: the panel's own",
                widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
            )

    @classmethod
    def initial_of(cls, value: Any) -> dict[str, Any]:
        settings = value if isinstance(value, Mapping) else {}
        codes = settings.get("codes") if isinstance(settings.get("codes"), Mapping) else {}
        origins = {name: "\n".join(map(str, settings.get(name) or [])) for name in _ORIGINS}
        return {
            "provider": settings.get("provider") or "open",
            "study_id": settings.get("study_id", ""),
            "completion_url": settings.get("completion_url", ""),
            "is_unsigned": settings.get("is_signed") is False,
            **{outcome: codes.get(outcome, "") for outcome in OUTCOMES},
            **origins,
        }

    @classmethod
    def normal(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        said = {name: setting for name, setting in value.items() if setting not in ("", None, [], {})}
        said = {name: setting for name, setting in said.items() if (name, setting) != ("is_signed", True)}
        return {"provider": "open"} | said

    def value(self) -> dict[str, Any]:
        """Return the settings; what equals a provider's own is left out."""
        given = self.cleaned_data
        settings: dict[str, Any] = {"provider": given["provider"]}
        if codes := {outcome: given[outcome] for outcome in OUTCOMES if given[outcome]}:
            settings["codes"] = codes
        if given["completion_url"]:
            settings["completion_url"] = given["completion_url"]
        settings |= {name: lines for name in _ORIGINS if (lines := _lines(given[name]))}
        if given["provider"] == "prolific":
            settings |= {"study_id": given["study_id"]} if given["study_id"] else {}
            settings |= {"is_signed": False} if given["is_unsigned"] else {}
        return settings

    def first(self) -> list[forms.BoundField]:
        return [self[name] for name in self._FIRST]

    def rest(self) -> list[forms.BoundField]:
        """Return the fields that one open link needs none of."""
        return [field for field in self if field.name not in self._FIRST]

    def is_rest_open(self) -> bool:
        return any(field.value() or field.errors for field in self.rest())

    # Where a fault of a setting is shown, if not at the field of its name.
    _PLACES = {"codes": "complete", "is_signed": "is_unsigned"}

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not self.errors:
            for setting, text in recruitment_faults(self.value()):
                self.add_error(self._PLACES.get(setting, setting), text)
        return given
