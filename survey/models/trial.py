"""Reserved slots, trials as they were shown, and votes as they were given."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q

from survey.models.pair import ImagePair, PairImage
from survey.models.rater import RaterSession
from survey.models.study import Arm, StudyVersion


class Slot(models.Model):
    """One wanted vote on one comparison of one pair, by one criterion where they come in blocks.

    Sessions hold it under a lease; an answered slot never reopens. Pilot and rehearsal sessions draw from pools of
    their own: they never use up the votes that the study wants.
    """

    class Pool(models.TextChoices):
        MAIN = "main", "main"
        PILOT = "pilot", "pilot"
        REHEARSAL = "rehearsal", "rehearsal"

    version = models.ForeignKey(StudyVersion, on_delete=models.CASCADE, related_name="slots")
    pair = models.ForeignKey(ImagePair, on_delete=models.PROTECT, related_name="slots")
    pool = models.CharField(max_length=10, choices=Pool.choices, default=Pool.MAIN)
    arm_a = models.ForeignKey(Arm, on_delete=models.PROTECT, related_name="+")
    arm_b = models.ForeignKey(Arm, on_delete=models.PROTECT, related_name="+")
    criterion = models.CharField(max_length=40, blank=True, default="")
    index = models.PositiveIntegerField(help_text="1st, 2nd, ... wanted vote: low ones are given out first")
    is_a_left = models.BooleanField(help_text="drawn at freezing, so that sides balance over each pair")
    draw = models.FloatField(help_text="random order among slots of the same index, in rounds that show each pair once")
    session = models.ForeignKey(RaterSession, null=True, on_delete=models.SET_NULL, related_name="slots")
    lease_expires_at = models.DateTimeField(null=True)
    is_answered = models.BooleanField(default=False)
    turn = models.PositiveSmallIntegerField(default=0, help_text="written with each vote; vote_store says why")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "pool", "pair", "arm_a", "arm_b", "criterion", "index"], name="one_slot_per_index"
            ),
            # An arm against itself is a check, and checks have no slot.
            models.CheckConstraint(condition=~Q(arm_a=F("arm_b")), name="a_slot_compares_two_arms"),
        ]
        indexes = [models.Index(fields=["version", "pool", "is_answered", "index", "draw", "turn"], name="slot_next")]

    def __str__(self) -> str:
        return f"{self.pair} {self.arm_a}/{self.arm_b} #{self.index}"


class Trial(models.Model):
    """One showing of a pair: stored before it is shown, shown the same way for ever."""

    class CheckKind(models.TextChoices):
        NONE = "", "main"
        IDENTICAL = "identical", "identical"
        DEGRADED = "degraded", "degraded"
        REPEAT = "repeat", "repeat"
        PRACTICE = "practice", "practice"

    class State(models.TextChoices):
        OPEN = "open", "open"
        ANSWERED = "answered", "answered"
        FAULTY = "faulty", "faulty"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(RaterSession, on_delete=models.CASCADE, related_name="trials")
    position = models.PositiveIntegerField(help_text="1-based position in the session")
    pair = models.ForeignKey(ImagePair, on_delete=models.PROTECT, related_name="trials")
    slot = models.ForeignKey(Slot, null=True, on_delete=models.SET_NULL, related_name="trials")
    arm_left = models.ForeignKey(Arm, on_delete=models.PROTECT, related_name="+")
    arm_right = models.ForeignKey(Arm, on_delete=models.PROTECT, related_name="+")
    criterion = models.CharField(
        max_length=40, blank=True, default="", help_text="of its block; empty where the trial asks all there are"
    )
    image_left = models.ForeignKey(PairImage, on_delete=models.PROTECT, related_name="+")
    image_right = models.ForeignKey(PairImage, on_delete=models.PROTECT, related_name="+")
    check_kind = models.CharField(max_length=10, choices=CheckKind.choices, default=CheckKind.NONE, blank=True)
    degraded_side = models.CharField(max_length=5, blank=True, help_text="left or right, where a spoilt copy is shown")
    repeat_of = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="repeats")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    issued_at = models.DateTimeField(null=True, help_text="when it was first handed to the browser")

    class Meta:
        # Two replacements at once must not land on one place in the order.
        constraints = [models.UniqueConstraint(fields=["session", "position"], name="one_trial_per_position")]
        indexes = [
            models.Index(fields=["session", "state", "position"], name="trial_next"),
            models.Index(fields=["issued_at"], condition=Q(issued_at__isnull=False), name="trial_issued"),
        ]

    def __str__(self) -> str:
        return f"trial {str(self.id)[:8]}"


class Vote(models.Model):
    """An answer to a trial by one criterion. Rows are only added: undo marks the last ones as no longer current and
    adds its own."""

    class Choice(models.TextChoices):
        LEFT = "left", "left"
        RIGHT = "right", "right"
        TIE = "tie", "tie"
        UNDO = "undo", "undo"

    trial = models.ForeignKey(Trial, on_delete=models.CASCADE, related_name="votes")
    criterion = models.CharField(
        max_length=40, blank=True, default="", help_text="empty where the study asks one question"
    )
    submission_key = models.UUIDField(
        help_text="made by the browser, one for all answers of a trial: a replay finds its first answers"
    )
    choice = models.CharField(max_length=5, choices=Choice.choices)
    # Beyond the choice, where the study asks.
    acceptable = models.CharField(max_length=7, blank=True, default="", help_text="both, left, right or neither")
    strength = models.PositiveSmallIntegerField(null=True, help_text="1 is the weakest grade; a tie has none")
    reasons = models.CharField(max_length=400, blank=True, default="", help_text="keys between vertical bars")
    is_current = models.BooleanField(default=True)
    response_ms = models.FloatField(null=True, help_text="from both images painted to the answer")
    exposure_ms = models.FloatField(null=True, help_text="how long both images were visible")
    presentation = models.JSONField(default=dict, help_text="rendered size, pixel ratio, key or pointer, layout, zoom")
    submitted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            # The last guard against counting an answer twice, whatever the code above it does.
            models.UniqueConstraint(
                fields=["trial", "criterion"], condition=Q(is_current=True), name="one_current_vote_per_criterion"
            ),
            models.UniqueConstraint(fields=["submission_key", "criterion"], name="one_answer_per_submission"),
            models.CheckConstraint(condition=~Q(choice="undo", is_current=True), name="an_undo_is_never_current"),
            models.CheckConstraint(condition=~Q(choice="tie", strength__isnull=False), name="a_tie_has_no_strength"),
        ]
        # Few among many: what was taken back, and the rows that did so.
        indexes = [models.Index(fields=["id"], condition=Q(is_current=False), name="vote_taken_back")]

    def __str__(self) -> str:
        # Shown as a title by the admin: never the choice, which may be hidden.
        return f"vote {self.pk} on {self.trial}"


class FaultReport(models.Model):
    """A trial that could not be judged (an image did not load). Never a choice."""

    trial = models.ForeignKey(Trial, on_delete=models.CASCADE, related_name="faults")
    kind = models.CharField(max_length=20)
    detail = models.CharField(max_length=300, blank=True)
    reported_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.kind} on {self.trial}"


class SessionEvent(models.Model):
    """Focus lost, window resized, full screen left, network gone: only added, and capped per session."""

    session = models.ForeignKey(RaterSession, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=20)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.kind} in {self.session}"
