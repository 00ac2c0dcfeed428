"""The shapes of image pairs and imports."""

from __future__ import annotations

from rest_framework import serializers

from survey.api.serializers.base import QuerySerializer, StrictSerializer, example
from survey.models import ImagePair


class PairQuerySerializer(QuerySerializer):
    class_label = serializers.CharField(required=False, max_length=60)
    kind = serializers.ChoiceField(choices=ImagePair.Kind.choices, required=False)


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
    leave_out_unmatched = serializers.BooleanField(required=False, default=False)
    is_check = serializers.BooleanField(required=False, default=False, help_text="report, and import nothing")


class ImportSerializer(serializers.Serializer):
    arms = serializers.ListField(child=serializers.CharField())
    pairs = serializers.IntegerField()
    new_pairs = serializers.IntegerField()
    notes = serializers.ListField(child=serializers.CharField())
    sha256 = serializers.CharField()
    job = serializers.UUIDField(allow_null=True)
