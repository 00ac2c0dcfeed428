"""The shapes of image pairs and imports."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from survey.api.serializers.base import QuerySerializer, StrictSerializer, example
from survey.models import ImagePair
from survey.models.pair import LONGEST_CLASS


class PairQuerySerializer(QuerySerializer):
    class_label = serializers.CharField(required=False, max_length=LONGEST_CLASS)
    kind = serializers.ChoiceField(choices=ImagePair.Kind.choices, required=False)


class ImageSerializer(serializers.Serializer):
    arm = serializers.CharField(source="arm.name")
    sha256 = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()


class ReferenceSerializer(serializers.Serializer):
    sha256 = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()


class PairSerializer(serializers.ModelSerializer):
    images = ImageSerializer(many=True)
    tags = serializers.ListField(child=serializers.CharField())
    reference = serializers.SerializerMethodField()

    class Meta:
        model = ImagePair
        fields = [
            "id",
            "key",
            "kind",
            "class_label",
            "class_name",
            "prompt",
            "tags",
            "seed",
            "index",
            "is_selected",
            "images",
            "reference",
        ]

    @extend_schema_field(ReferenceSerializer(allow_null=True))
    def get_reference(self, pair: ImagePair) -> dict | None:
        return ReferenceSerializer(pair.reference).data if hasattr(pair, "reference") else None


@example({"keys": ["cat/0001", "cat/0002"], "is_selected": False})
class PairsInputSerializer(StrictSerializer):
    keys = serializers.ListField(child=serializers.CharField(max_length=300), min_length=1, max_length=10_000)
    is_selected = serializers.BooleanField(help_text="false leaves them out when the study is frozen")


@example({"keys": ["cat/0001"]})
class PairsRemoveSerializer(StrictSerializer):
    keys = serializers.ListField(child=serializers.CharField(max_length=300), min_length=1, max_length=10_000)


class PairsChangedSerializer(serializers.Serializer):
    changed = serializers.IntegerField()


class ImportInputSerializer(StrictSerializer):
    zip = serializers.FileField(help_text="one folder per arm; images of a pair have the same path below it")
    classes = serializers.FileField(required=False, help_text="CSV of class_label,class_name: what raters read")
    pairs = serializers.FileField(
        required=False,
        help_text="pairs.csv, .xlsx or .jsonl (path, prompt, class, tags, reference, seed), if not in the zip",
    )
    leave_out_unmatched = serializers.BooleanField(required=False, default=False)
    are_texts_read = serializers.BooleanField(
        required=False, default=False, help_text="the .txt beside an image is its prompt"
    )
    is_check = serializers.BooleanField(required=False, default=False, help_text="report, and import nothing")


class ImportSerializer(serializers.Serializer):
    arms = serializers.ListField(child=serializers.CharField())
    pairs = serializers.IntegerField()
    new_pairs = serializers.IntegerField()
    changed_pairs = serializers.IntegerField()
    prompts = serializers.IntegerField()
    references = serializers.IntegerField()
    notes = serializers.ListField(child=serializers.CharField())
    sha256 = serializers.CharField()
    job = serializers.UUIDField(allow_null=True)
