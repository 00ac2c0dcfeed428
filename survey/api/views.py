"""One view an operation on a study and its draft: find the study, check the shape, call the service, show it."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import pagination, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api import serializers as shapes
from survey.api.auth import Scope, study_of_call
from survey.canonical import canonical_json
from survey.exceptions import ImportRefused, StudyNotEditable
from survey.models import Arm, Study, StudyMember
from survey.selectors.access import deleted_studies_visible_to, studies_visible_to
from survey.services.background import import_begin, transition_begin
from survey.services.images.class_names import MOST_CLASS_BYTES, class_names_read
from survey.services.images.import_sources import zip_sources
from survey.services.images.importing import images_check
from survey.services.images.pairs import pairs_remove, pairs_select
from survey.services.results.progress import progress_of
from survey.services.study.study import arm_add, arm_remove, arm_rename, study_create, study_delete, study_update
from survey.services.study.version import version_config, version_problems
from survey.services.study.weaknesses import version_weaknesses

__all__ = [
    "ArmDetail",
    "ArmList",
    "DeletedStudyList",
    "DryRun",
    "Import",
    "Pairs",
    "PairsRemove",
    "Progress",
    "Step",
    "StudyDetail",
    "StudyList",
]


class Cursor(pagination.CursorPagination):
    """Pages that stay right while rows are added, and cost the same at row ten and row ten million."""

    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 500


def checked(kind: type[serializers.BaseSerializer], data: Any, **options: Any) -> dict[str, Any]:
    """Return the data in the shape of a serializer, or raise the errors of all fields."""
    serializer = kind(data=data, **options)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def filtered(request: Request, kind: type[shapes.QuerySerializer]) -> dict[str, Any]:
    """Return the filters of a list that were given: only those that its serializer names."""
    given = checked(kind, request.query_params)
    return {name: value for name, value in given.items() if name not in {"cursor", "page_size"} and value is not None}


def paged(
    view: APIView, rows: QuerySet, kind: type[serializers.BaseSerializer], order: str, **context: Any
) -> Response:
    """Return one page of rows in a fixed order."""
    cursor = Cursor()
    cursor.ordering = (order,) if order.lstrip("-") == "pk" else (order, "pk")
    page = cursor.paginate_queryset(rows, view.request, view=view)
    return cursor.get_paginated_response(kind(page, many=True, context=context).data)


def page_of(kind: type[serializers.BaseSerializer]) -> type[serializers.Serializer]:
    """Return the serializer of a page of ``kind``, for the schema."""
    fields = {
        "next": serializers.URLField(allow_null=True),
        "previous": serializers.URLField(allow_null=True),
        "results": kind(many=True),
    }
    return type(f"{kind.__name__.removesuffix('Serializer')}PageSerializer", (serializers.Serializer,), fields)


def _roles(user: Any) -> dict[int, str]:
    return dict(StudyMember.objects.filter(user_id=user.pk).values_list("study_id", "role"))


def _shown(study: Study, request: Request) -> dict[str, Any]:
    return shapes.StudySerializer(study, context={"roles": _roles(request.user)}).data


def _with_baseline(study: Study | None, given: dict[str, Any]) -> dict[str, Any]:
    """Replace the baseline's name by the arm."""
    if given.get("baseline") is None:
        return given
    arm = Arm.objects.filter(study=study, name=given["baseline"]).first() if study else None
    if arm is None:
        raise serializers.ValidationError({"baseline": ["The study has no arm of this name. Add the arm first."]})
    return given | {"baseline": arm}


class StudyList(APIView):
    @extend_schema(
        operation_id="studies_list",
        parameters=[shapes.StudyQuerySerializer],
        responses=page_of(shapes.StudySerializer),
    )
    def get(self, request: Request) -> Response:
        """List the studies in which the caller has a role, newest first."""
        rows = studies_visible_to(request.user).filter(**filtered(request, shapes.StudyQuerySerializer))
        rows = rows.select_related("baseline")
        return paged(self, rows, shapes.StudySerializer, "-created_at", roles=_roles(request.user))

    @extend_schema(
        operation_id="studies_create",
        request=shapes.StudyInputSerializer,
        responses={201: shapes.StudySerializer},
        examples=[
            OpenApiExample(
                "A draft",
                request_only=True,
                value={"slug": "digits-2027", "title": "Written digits", "consent_text": "I agree to take part."},
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Create a draft that belongs to the caller."""
        given = _with_baseline(None, checked(shapes.StudyInputSerializer, request.data))
        study = study_create(owner=request.user, **given)
        return Response(_shown(study, request), status=status.HTTP_201_CREATED)


class StudyDetail(APIView):
    scopes = {"DELETE": Scope.RUN}

    @extend_schema(operation_id="study_get", responses=shapes.StudySerializer)
    def get(self, request: Request, slug: str) -> Response:
        """Show a study."""
        return Response(_shown(study_of_call(request, slug), request))

    @extend_schema(
        operation_id="study_update", request=shapes.StudyPatchSerializer(partial=True), responses=shapes.StudySerializer
    )
    def patch(self, request: Request, slug: str) -> Response:
        """Change a draft. A frozen study has to be revised first."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.StudyPatchSerializer, request.data, partial=True, instance=study)
        changes = _with_baseline(study, given)
        return Response(_shown(study_update(study=study, actor=request.user, **changes), request))

    @extend_schema(operation_id="study_delete", responses={204: None})
    def delete(self, request: Request, slug: str) -> Response:
        """Delete a draft that nobody has visited, and its files; its log stays. For owners."""
        study_delete(study=study_of_call(request, slug, manage=True), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DeletedStudyList(APIView):
    @extend_schema(
        operation_id="deleted_studies_list",
        parameters=[shapes.QuerySerializer],
        responses=page_of(shapes.DeletedStudySerializer),
    )
    def get(self, request: Request) -> Response:
        """List the drafts that the caller deleted, each with its log, newest first."""
        filtered(request, shapes.QuerySerializer)
        return paged(self, deleted_studies_visible_to(request.user), shapes.DeletedStudySerializer, "-deleted_at")


class ArmList(APIView):
    @extend_schema(operation_id="arms_list", responses=shapes.ArmSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the arms."""
        return Response(shapes.ArmSerializer(study_of_call(request, slug).arms.all(), many=True).data)

    @extend_schema(operation_id="arms_create", request=shapes.ArmInputSerializer, responses={201: shapes.ArmSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Add an arm to a draft, or change the recipe of the one of that name."""
        study = study_of_call(request, slug, change=True)
        arm = arm_add(study=study, actor=request.user, **checked(shapes.ArmInputSerializer, request.data))
        return Response(shapes.ArmSerializer(arm).data, status=status.HTTP_201_CREATED)


class ArmDetail(APIView):
    @extend_schema(operation_id="arm_rename", request=shapes.ArmRenameSerializer, responses=shapes.ArmSerializer)
    def patch(self, request: Request, slug: str, name: str) -> Response:
        """Give an arm of a draft another name; its images stay with it."""
        arm = _arm(request, slug, name)
        given = checked(shapes.ArmRenameSerializer, request.data)
        return Response(shapes.ArmSerializer(arm_rename(arm=arm, actor=request.user, **given)).data)

    @extend_schema(operation_id="arm_delete", responses={204: None})
    def delete(self, request: Request, slug: str, name: str) -> Response:
        """Remove an arm that has no images from a draft."""
        arm_remove(arm=_arm(request, slug, name), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _arm(request: Request, slug: str, name: str) -> Arm:
    arm = study_of_call(request, slug, change=True).arms.filter(name=name).first()
    if arm is None:
        raise Http404
    return arm


class Import(APIView):
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="images_import",
        request={"multipart/form-data": shapes.ImportInputSerializer},
        responses={200: shapes.ImportSerializer, 202: shapes.ImportSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Import a zip of one folder per arm, whole or not at all; a large one by a worker (202)."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.ImportInputSerializer, request.data)
        if study.state != Study.State.DRAFT:
            raise StudyNotEditable
        rules = {"leave_out_unmatched": given["leave_out_unmatched"]}
        if given["is_check"]:
            with zip_sources(given["zip"]) as sources:
                report, _ = images_check(sources, **rules)
            if report.problems:
                raise ImportRefused(report.problems)
            return Response(shapes.ImportSerializer(report.as_dict() | {"job": None}).data)
        names = class_names_read(given["classes"].read(MOST_CLASS_BYTES)) if "classes" in given else {}
        report, job = import_begin(study=study, file=given["zip"], actor=request.user, class_names=names, **rules)
        if report is None:
            empty = {"arms": [], "pairs": 0, "new_pairs": 0, "notes": [], "sha256": "", "job": job.pk}
            return Response(shapes.ImportSerializer(empty).data, status=status.HTTP_202_ACCEPTED)
        return Response(shapes.ImportSerializer(report.as_dict() | {"job": None}).data)


class Pairs(APIView):
    @extend_schema(
        operation_id="pairs_list", parameters=[shapes.PairQuerySerializer], responses=page_of(shapes.PairSerializer)
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the pairs with the digests of their images."""
        rows = study_of_call(request, slug).pairs.filter(**filtered(request, shapes.PairQuerySerializer))
        return paged(self, rows.prefetch_related("images__arm"), shapes.PairSerializer, "key")

    @extend_schema(
        operation_id="pairs_select", request=shapes.PairsInputSerializer, responses=shapes.PairsChangedSerializer
    )
    def patch(self, request: Request, slug: str) -> Response:
        """Leave pairs of a draft out when it is frozen, or take them in again."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.PairsInputSerializer, request.data)
        return Response({"changed": pairs_select(study=study, actor=request.user, **given)})


class PairsRemove(APIView):
    @extend_schema(
        operation_id="pairs_remove", request=shapes.PairsRemoveSerializer, responses=shapes.PairsChangedSerializer
    )
    def post(self, request: Request, slug: str) -> Response:
        """Remove pairs from a draft, unless a frozen version has them."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.PairsRemoveSerializer, request.data)
        return Response({"changed": pairs_remove(study=study, actor=request.user, **given)})


class DryRun(APIView):
    @extend_schema(operation_id="study_dry_run", responses=shapes.DryRunSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """Say what is wrong or weak about a draft before it is frozen."""
        study = study_of_call(request, slug)
        digest = hashlib.sha256(canonical_json(version_config(study))).hexdigest()
        result = {"problems": version_problems(study), "weaknesses": version_weaknesses(study), "config_sha256": digest}
        return Response(shapes.DryRunSerializer(result).data)


class Step(APIView):
    scopes = {"POST": Scope.RUN}

    @extend_schema(
        operation_id="study_step",
        request=shapes.StepInputSerializer,
        responses={200: shapes.StateSerializer, 202: shapes.StateSerializer},
        examples=[OpenApiExample("Close", value={"reason": "all votes are in"}, request_only=True)],
    )
    def post(self, request: Request, slug: str, name: str) -> Response:
        """Carry out a named step: freeze, revise, pilot, end_pilot, open, pause, resume, close or archive."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.StepInputSerializer, request.data)
        job = transition_begin(study=study, name=name, actor=request.user, reason=given["reason"])
        study.refresh_from_db()
        body = shapes.StateSerializer({"state": study.state, "job": job.pk if job else None}).data
        return Response(body, status=status.HTTP_202_ACCEPTED if job else status.HTTP_200_OK)


class Progress(APIView):
    @extend_schema(operation_id="study_progress", responses=shapes.ProgressSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """Say how a study goes: recruitment, times and flags, never which arm is preferred."""
        return Response(shapes.ProgressSerializer(progress_of(study_of_call(request, slug))).data)
