"""Matched images: one class, one seed, one image of every arm."""

from __future__ import annotations

import uuid

from django.db import models

from survey.models.study import Arm, Study

# What is longer is a named problem of an import, and never cut.
LONGEST_KEY = 300
LONGEST_CLASS = 200
LONGEST_CLASS_NAME = 300


class ImagePair(models.Model):
    """The images that all arms made from one class and one noise: two, or more in a study of several arms.

    ``key`` names the pair inside its study: ``class-index`` when generated here, the relative path when imported.
    ``prompt`` stands above the pair, ``tags`` group pairs in the analysis and never reach a rater.
    """

    class Kind(models.TextChoices):
        MAIN = "main", "main"
        PRACTICE = "practice", "practice"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="pairs")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.MAIN)
    key = models.CharField(max_length=LONGEST_KEY)
    class_label = models.CharField(max_length=LONGEST_CLASS, blank=True)
    class_name = models.CharField(max_length=LONGEST_CLASS_NAME, blank=True, help_text="what raters read")
    prompt = models.TextField(blank=True, help_text="what the images were made from")
    tags = models.JSONField(default=list, blank=True, help_text="groups for the analysis")
    seed = models.BigIntegerField(null=True)
    index = models.PositiveIntegerField(null=True)
    noise_sha256 = models.CharField(max_length=64, blank=True)
    distance = models.FloatField(null=True, help_text="difference between the arms' images, for pair selection")
    is_selected = models.BooleanField(default=True, help_text="takes part in the study when it is frozen")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "key"], name="one_pair_per_study_and_key")]
        indexes = [models.Index(fields=["study", "class_label"])]
        ordering = ["study", "key"]

    def __str__(self) -> str:
        return self.key


class PairImage(models.Model):
    """One arm's image of a pair. ``file`` stays as it was made; raters get copies, encoded alike for all arms.

    ``served``, ``served_sha256``, ``degraded`` and ``encoded_bytes`` are of versions frozen up to release 0.1, which
    keep these copies; later versions have :class:`ServedCopies`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pair = models.ForeignKey(ImagePair, on_delete=models.CASCADE, related_name="images")
    arm = models.ForeignKey(Arm, on_delete=models.PROTECT, related_name="images")
    file = models.CharField(max_length=200, help_text="name in the storage")
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    recipe = models.JSONField(default=dict, blank=True, help_text="seeds, digests of weights, versions, device")
    encoded_bytes = models.PositiveIntegerField(
        null=True, help_text="of the served copy before it is brought to length"
    )
    served = models.CharField(max_length=200, blank=True)
    served_sha256 = models.CharField(max_length=64, blank=True)
    degraded = models.CharField(max_length=200, blank=True, help_text="served copy of the spoilt image, where made")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pair", "arm"], name="one_image_per_pair_and_arm")]

    def __str__(self) -> str:
        return f"{self.pair} by {self.arm}"

    @property
    def called(self) -> str:
        """What a message calls it."""
        return f"{self.pair.key} of arm {self.arm.name}"


class ServedCopies(models.Model):
    """One image's copies for raters: every size of it, and of its spoilt copy where there is one.

    ``setup`` names everything that decides the copies but the pixels: versions of one setup share them.
    """

    image = models.ForeignKey(PairImage, on_delete=models.CASCADE, related_name="copies")
    setup = models.CharField(max_length=16)
    has_spoilt = models.BooleanField(default=False)
    lengths = models.JSONField(help_text="bytes of the copy of each size, the original's first")
    difference = models.JSONField(
        default=dict, help_text="of near-lossless copies from the pixels: largest, sums of absolutes and squares, count"
    )

    class Meta:
        verbose_name_plural = "served copies"
        constraints = [models.UniqueConstraint(fields=["image", "setup"], name="one_set_of_copies_per_setup")]
        indexes = [models.Index(fields=["setup", "has_spoilt"])]

    def __str__(self) -> str:
        return f"copies of {self.image}"


class ReferenceImage(models.Model):
    """What a pair's images are held against: the source of an edit, the original of a restoration. Of no arm.

    ``setups`` holds, by the setup of its copies, the bytes of the copy of each size.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pair = models.OneToOneField(ImagePair, on_delete=models.CASCADE, related_name="reference")
    file = models.CharField(max_length=200, help_text="name in the storage")
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    recipe = models.JSONField(default=dict, blank=True, help_text="where it came from")
    setups = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return f"reference of {self.pair}"

    @property
    def called(self) -> str:
        """What a message calls it."""
        return f"the reference of {self.pair.key}"
