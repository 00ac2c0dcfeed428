"""A study, who may see it, its arms, and the immutable versions that raters answer."""

from __future__ import annotations

import secrets
import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q


def new_seed() -> int:
    """Return a seed that fits a signed 63-bit column."""
    return secrets.randbits(62)


class Study(models.Model):
    """The draft of a study: everything a researcher may still change. Raters only ever meet a frozen StudyVersion."""

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        FROZEN = "frozen", "frozen"
        PILOTING = "piloting", "piloting"
        RUNNING = "running", "running"
        PAUSED = "paused", "paused"
        CLOSED = "closed", "closed"
        ARCHIVED = "archived", "archived"

    class Comparisons(models.TextChoices):
        ALL = "all", "every arm against every other"
        BASELINE = "baseline", "every arm against the baseline arm"

    class Display(models.TextChoices):
        AUTO = "auto", "by the images: pixels up to 128 pixels, fit above"
        FIT = "fit", "fit: as large as the window allows, in the images' own shapes"
        PIXELS = "pixels", "pixels: every image pixel the same whole number of screen pixels"

    class NearLossless(models.IntegerChoices):
        OFF = 0, "off: pixels as they are"
        Q80 = 80, "80: rough parts lose 1 bit of 8"
        Q60 = 60, "60: rough parts lose 2 bits"
        Q40 = 40, "40: rough parts lose 3 bits"

    class NarrowScreens(models.TextChoices):
        REFUSE = "refuse", "refuse screens too narrow for two images side by side"
        STACK = "stack", "stack the images, order randomised and stored"

    class ReferencePlace(models.TextChoices):
        BETWEEN = "between", "between the two images"
        ABOVE = "above", "above the two images"

    class StoppingRule(models.TextChoices):
        FIXED = "fixed", "fixed number of votes, looked at once"
        PLANNED = "planned", "a planned number of looks, each at its share of the 5 % (alpha spending)"
        ANYTIME = "anytime", "anytime-valid confidence sequence, may be looked at while running"

    class LooksSpending(models.TextChoices):
        OBRIEN_FLEMING = "obrien_fleming", "O'Brien and Fleming's type: little early, nearly all at the end"
        POCOCK = "pocock", "Pocock's type: evenly"

    class CriteriaDesign(models.TextChoices):
        BLOCKS = "blocks", "blocks: one criterion at a time, order of the blocks drawn for each rater"
        TOGETHER = "together", "together: all below one pair, order drawn for each rater"

    class StrengthGrades(models.IntegerChoices):
        OFF = 0, "not asked"
        THREE = 3, "3 grades a side"
        FIVE = 5, "5 grades a side"

    class ClassAdjustment(models.TextChoices):
        BH = "bh", "Benjamini and Hochberg: false discovery rate"
        HOLM = "holm", "Holm: family-wise error rate"

    slug = models.SlugField(
        max_length=60, unique=True, help_text="part of the rater's address; say nothing of the arms"
    )
    title = models.CharField(max_length=200, help_text="shown to raters; say nothing of the arms")
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT, editable=False)
    seed = models.BigIntegerField(
        default=new_seed, help_text="fixes the noise of images made here and the sides of the trials"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # What raters read
    organisation = models.CharField(max_length=200, blank=True, help_text="who runs the study")
    contact = models.CharField(
        max_length=200, blank=True, help_text="shown to raters: an e-mail address or other way to reach you"
    )
    summary = models.TextField(blank=True, help_text="one paragraph on the landing page")
    payment = models.CharField(
        max_length=200, blank=True, help_text="shown to raters; empty: they take part as volunteers"
    )
    minutes = models.PositiveSmallIntegerField(
        default=10, validators=[MaxValueValidator(600)], help_text="expected length of a visit"
    )
    consent_text = models.TextField(blank=True)
    instructions = models.TextField(blank=True)
    question = models.CharField(
        max_length=300,
        default="Which image looks more realistic?",
        help_text="{class_name} is replaced by the name of the pair's class",
    )
    criteria = models.JSONField(
        default=list,
        blank=True,
        help_text='several questions in place of the one above: [{"key", "question", "definition", "is_tie_allowed"}]',
    )
    criteria_design = models.CharField(
        max_length=8, choices=CriteriaDesign.choices, default=CriteriaDesign.BLOCKS, help_text="of several criteria"
    )
    debrief = models.TextField(blank=True)
    exit_questions = models.JSONField(
        default=list, blank=True, help_text='[{"name", "caption", "kind": "single", "options": [...]}]'
    )
    language = models.CharField(
        max_length=10,
        blank=True,
        help_text="of the texts above, for example en; the pages then come in it and in those of the translations "
        "alone. Empty: the texts are shown as they are, on pages in the rater's language",
    )
    translations = models.JSONField(
        default=dict, blank=True, help_text='the same texts by language: {"de": {"question": ..., "consent_text": ...}}'
    )

    # What raters say beyond the choice
    is_acceptable_asked = models.BooleanField(
        default=False, help_text="which of the two images is good enough: both, one or neither"
    )
    strength_grades = models.PositiveSmallIntegerField(
        choices=StrengthGrades.choices, default=StrengthGrades.OFF, help_text="how much better the chosen image is"
    )
    reasons = models.JSONField(
        default=list,
        blank=True,
        help_text='up to eight to choose from after a vote: [{"key", "caption"}]; never free text, which unblinds',
    )
    are_reasons_required = models.BooleanField(default=False)
    answer_words = models.JSONField(
        default=dict,
        blank=True,
        help_text='wording of the answers: {"left": ..., "tie": ..., "right": ...}; empty: that of the pages',
    )

    # How a trial looks
    are_ties_allowed = models.BooleanField(default=True)
    minimum_exposure_ms = models.PositiveIntegerField(default=800, validators=[MaxValueValidator(10_000)])
    display = models.CharField(
        max_length=6, choices=Display.choices, default=Display.AUTO, help_text="how images come to their size on screen"
    )
    box_px = models.PositiveSmallIntegerField(
        default=640,
        validators=[MinValueValidator(64), MaxValueValidator(4096)],
        help_text="fit: the most that an image's longer side takes, in CSS pixels",
    )
    least_box_px = models.PositiveSmallIntegerField(
        default=256,
        validators=[MinValueValidator(16), MaxValueValidator(4096)],
        help_text="fit: the least that an image's shorter side takes, in device pixels; smaller windows are refused",
    )
    near_lossless = models.PositiveSmallIntegerField(
        choices=NearLossless.choices,
        default=NearLossless.OFF,
        help_text="lighter copies for raters on slow lines; how far they are off is measured and reported",
    )
    pixel_multiple = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(32)],
        help_text="pixels: screen pixels per image pixel",
    )
    narrow_screens = models.CharField(max_length=10, choices=NarrowScreens.choices, default=NarrowScreens.REFUSE)
    is_zoom_allowed = models.BooleanField(default=False)
    are_prompts_shown = models.BooleanField(default=True, help_text="above each pair; otherwise for the analysis alone")
    reference_place = models.CharField(
        max_length=8,
        choices=ReferencePlace.choices,
        default=ReferencePlace.BETWEEN,
        help_text="where the reference of a pair stands, if it has one",
    )
    is_wording_kept = models.BooleanField(
        default=False, help_text="browsers are told not to translate the question and the prompt"
    )

    # The trial plan
    comparisons = models.CharField(max_length=10, choices=Comparisons.choices, default=Comparisons.ALL)
    votes_per_pair = models.PositiveIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    trials_per_session = models.PositiveIntegerField(
        default=40, validators=[MinValueValidator(1), MaxValueValidator(2_000)]
    )
    practice_trials = models.PositiveSmallIntegerField(default=3, validators=[MaxValueValidator(200)])
    repeat_trials = models.PositiveSmallIntegerField(
        default=3, validators=[MaxValueValidator(200)], help_text="shown again with sides swapped"
    )
    identical_trials = models.PositiveSmallIntegerField(
        default=1, validators=[MaxValueValidator(200)], help_text="the same image twice"
    )
    degraded_trials = models.PositiveSmallIntegerField(
        default=2, validators=[MaxValueValidator(200)], help_text="an image against a spoilt copy of itself"
    )
    break_every = models.PositiveSmallIntegerField(
        default=40, validators=[MinValueValidator(5), MaxValueValidator(2_000)]
    )
    lease_minutes = models.PositiveSmallIntegerField(
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(10_080)],
        help_text="how long an inactive rater keeps the reserved trials",
    )

    # The analysis plan
    baseline = models.ForeignKey("Arm", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    stopping_rule = models.CharField(max_length=10, choices=StoppingRule.choices, default=StoppingRule.FIXED)
    headline_criterion = models.CharField(
        max_length=40,
        blank=True,
        help_text="key of the criterion that is tested alone, the others being adjusted; empty: the first",
    )
    planned_looks = models.PositiveSmallIntegerField(
        default=3,
        validators=[MinValueValidator(2), MaxValueValidator(20)],
        help_text="planned looks: how many, the one after closing included",
    )
    looks_spending = models.CharField(
        max_length=14,
        choices=LooksSpending.choices,
        default=LooksSpending.OBRIEN_FLEMING,
        help_text="planned looks: how the 5 % are spread over them",
    )
    equivalence_margin = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.001), MaxValueValidator(0.499)]
    )
    target_raters = models.PositiveIntegerField(
        default=30, validators=[MinValueValidator(2), MaxValueValidator(1_000_000)]
    )
    class_adjustment = models.CharField(
        max_length=4,
        choices=ClassAdjustment.choices,
        default=ClassAdjustment.BH,
        help_text="how the p-values of the classes are adjusted",
    )
    least_votes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="ordinary votes in one comparison after which a rater counts as finished, for the confidence "
        "sequence; empty: a whole session, or one vote where there are several comparisons",
    )
    exclusion_rules = models.JSONField(
        default=list, blank=True, help_text='[{"rule": "too_fast", "parameters": {...}}]'
    )

    # What only people know, for the report and a release
    eligibility = models.CharField(max_length=300, blank=True, help_text="who could take part")
    ethics = models.CharField(max_length=300, blank=True, help_text="who approved the study, and the number")
    funding = models.CharField(max_length=300, blank=True)
    preregistration = models.CharField(max_length=300, blank=True, help_text="address of the registered plan")
    is_publication_consented = models.BooleanField(
        default=False, help_text="the consent text says that anonymous answers will be published"
    )
    is_free_text_published = models.BooleanField(
        default=False, help_text="the consent text says that answers in raters' own words will be published too"
    )

    # Recruitment
    recruitment = models.JSONField(default=dict, blank=True, help_text='{"provider": "open", ...}')

    class Meta:
        verbose_name_plural = "studies"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.title

    @property
    def noise_seed(self) -> int:
        """What the noise of images is drawn from, where an order of pairs names no seed of its own."""
        return self.seed

    @property
    def assignment_seed(self) -> int:
        """What the sides and the order of the slots of a version are drawn from; a session draws its own trials."""
        return self.seed


class StudyMember(models.Model):
    """Who may see or change a study."""

    class Role(models.TextChoices):
        OWNER = "owner", "owner"
        COLLABORATOR = "collaborator", "collaborator"
        VIEWER = "viewer", "viewer"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="study_memberships")
    role = models.CharField(max_length=12, choices=Role.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "user"], name="one_role_per_study_and_user")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role}"


class Arm(models.Model):
    """One way of making images. Neither its name, which files and tables use, nor its title ever reaches a rater.

    ``recipe`` is checked by ``generation.recipes.recipe`` when images are generated here, and is empty for
    imported images.
    """

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="arms")
    name = models.SlugField(max_length=60)
    title = models.CharField(
        max_length=200, blank=True, help_text="as people write it, for example SDXL 1.0; empty: the name"
    )
    description = models.CharField(max_length=300, blank=True)
    recipe = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "name"], name="one_arm_per_study_and_name")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class StudyVersion(models.Model):
    """What was frozen. Never changed: a change of the study is a new version."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Protected: what raters have answered must not go by deleting something above it.
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    config = models.JSONField(help_text="canonical: question, arms, trial plan, analysis plan, texts")
    config_sha256 = models.CharField(max_length=64)
    manifest_sha256 = models.CharField(max_length=64, help_text="over every image of every pair, in order")
    consent_sha256 = models.CharField(max_length=64)
    served_bytes = models.PositiveIntegerField(
        help_text="of the longest served copy; up to release 0.1, of each of them"
    )
    frozen_at = models.DateTimeField(auto_now_add=True)
    frozen_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "number"], name="one_version_per_number"),
            models.CheckConstraint(condition=Q(number__gte=1), name="versions_count_from_one"),
        ]
        ordering = ["study", "-number"]

    def __str__(self) -> str:
        return f"{self.study} v{self.number}"
