"""Orders of pairs over the API: place one, see how far it is, cancel it, try again. Thin: services write."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404
from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.models import GenerationRun
from generation.recipes.class_labels import CLASS_LIMIT
from generation.recipes.noise import SEED_LIMIT
from generation.recipes.recipe import GUIDANCE_FACTORS, recipe_fields
from generation.selectors import run_classes, run_progress
from generation.services.order import MAXIMUM_PAIRS, classes_asked, run_cancel, run_create, run_enqueue_plan, run_retry
from survey.api.auth import study_of_call
from survey.api.calls import checked
from survey.api.serializers.base import StrictSerializer
from survey.api.urls import STUDY
from survey.models import Study
from survey.models.pair import LONGEST_CLASS_NAME

__all__ = ["OrderDetail", "OrderList", "OrderStep", "urlpatterns"]

# Guidance may always differ, so there is nothing to ask for it.
_FACTORS = [name for name in recipe_fields() if name not in GUIDANCE_FACTORS]


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "minimum": 0, "maximum": CLASS_LIMIT - 1},
            {"type": "string", "minLength": 1, "maxLength": LONGEST_CLASS_NAME},
        ]
    }
)
class ClassField(serializers.Field):
    """A class by its label or by the name that the arms' checkpoints give it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_field = serializers.IntegerField(min_value=0, max_value=CLASS_LIMIT - 1)
        self.name_field = serializers.CharField(max_length=LONGEST_CLASS_NAME)

    def to_internal_value(self, data: Any) -> int | str:
        # A number within quotes stays the number that it was taken for before there were names.
        is_name = isinstance(data, str) and not data.strip().isdecimal()
        return (self.name_field if is_name else self.label_field).run_validation(data)


class ClassSerializer(serializers.Serializer):
    label = serializers.IntegerField()
    name = serializers.CharField(help_text="empty where nobody named it")


class OrderInputSerializer(StrictSerializer):
    """What ``manage.py generate_pairs`` takes."""

    pairs = serializers.IntegerField(min_value=1, max_value=MAXIMUM_PAIRS)
    classes = serializers.ListField(
        child=ClassField(),
        required=False,
        min_length=1,
        # Ten times the classes of ImageNet, and still small enough for one request.
        max_length=10_000,
        help_text="labels, or names as the arms' checkpoints have them; default: all that the networks know",
    )
    seed = serializers.IntegerField(
        required=False, min_value=0, max_value=SEED_LIMIT - 1, help_text="of the noise; default: the study's own"
    )
    micro_batch = serializers.IntegerField(required=False, min_value=1, max_value=4096)
    minimum_distance = serializers.FloatField(required=False, min_value=0, max_value=1)
    factors = serializers.ListField(
        child=serializers.ChoiceField(choices=_FACTORS),
        required=False,
        max_length=len(_FACTORS),
        help_text="in what, besides guidance, the arms may differ",
    )


class OrderSerializer(serializers.Serializer):
    """An order and how far it is."""

    id = serializers.UUIDField()
    state = serializers.CharField()
    pairs = serializers.IntegerField()
    classes = ClassSerializer(many=True, help_text="empty before the order is planned, if it names none")
    done = serializers.IntegerField(help_text="pairs that have an image of every arm")
    shards_active = serializers.IntegerField()
    shards_failed = serializers.IntegerField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


def _shown(run: GenerationRun) -> dict[str, Any]:
    state = run_progress(run)
    fields = {"id": run.pk, "created_at": run.created_at, "finished_at": run.finished_at, "pairs": run.pairs}
    fields |= {"state": state.state, "done": state.done, "error": state.error}
    fields["classes"] = [{"label": label, "name": name} for label, name in run_classes(run)]
    return OrderSerializer(fields | {"shards_active": state.active, "shards_failed": state.failed}).data


def _order_of(study: Study, order: uuid.UUID) -> GenerationRun:
    run = study.generation_runs.select_related("study", "plan_job").filter(pk=order).first()
    if run is None:
        raise Http404
    return run


class OrderList(APIView):
    @extend_schema(operation_id="orders_list", responses=OrderSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the last hundred orders of pairs, newest first."""
        runs = study_of_call(request, slug).generation_runs.select_related("study", "plan_job").order_by("-created_at")
        return Response([_shown(run) for run in runs[:100]])

    @extend_schema(
        operation_id="orders_create",
        request=OrderInputSerializer,
        responses={202: OrderSerializer},
        examples=[
            OpenApiExample("Two classes", value={"pairs": 500, "classes": [207, 360]}, request_only=True),
            OpenApiExample("By name", value={"pairs": 500, "classes": ["Ankle boot", "Bag"]}, request_only=True),
        ],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Order pairs of a draft from the recipes of its arms; workers make them. The same order again goes on."""
        study = study_of_call(request, slug, change=True)
        given = checked(OrderInputSerializer, request.data)
        try:
            if "classes" in given:
                given["classes"] = classes_asked(study, given["classes"], given.get("factors", ()))
            run = run_create(study=study, actor=request.user, **given)
        except ValueError as error:
            raise serializers.ValidationError({"order": [str(error)]}) from error
        run_enqueue_plan(run, actor=request.user)
        return Response(_shown(_order_of(study, run.pk)), status=status.HTTP_202_ACCEPTED)


class OrderDetail(APIView):
    @extend_schema(operation_id="order_get", responses=OrderSerializer)
    def get(self, request: Request, slug: str, order: uuid.UUID) -> Response:
        """Say how far an order is."""
        return Response(_shown(_order_of(study_of_call(request, slug), order)))


class OrderStep(APIView):
    @extend_schema(operation_id="order_step", request=None, responses=OrderSerializer)
    def post(self, request: Request, slug: str, order: uuid.UUID, name: str) -> Response:
        """Cancel an order, or retry what failed or was cancelled."""
        study = study_of_call(request, slug, change=True)
        run = _order_of(study, order)
        (run_cancel if name == "cancel" else run_retry)(run, actor=request.user)
        return Response(_shown(_order_of(study, order)))


_ORDERS = f"{STUDY}orders/"
urlpatterns = [
    path(_ORDERS, OrderList.as_view()),
    path(f"{_ORDERS}<uuid:order>/", OrderDetail.as_view()),
    path(f"{_ORDERS}<uuid:order>/<job_verb:name>/", OrderStep.as_view()),
]
