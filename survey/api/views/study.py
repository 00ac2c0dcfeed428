"""Studies: drafts, steps, dry run, progress, versions, and planning before there is one."""

from __future__ import annotations

import hashlib
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import Scope, study_of_call
from survey.api.calls import checked, filtered, page_of, paged
from survey.api.serializers.base import QuerySerializer
from survey.api.serializers.planning import PlanningInputSerializer, PlanningSerializer
from survey.api.serializers.progress import ProgressSerializer
from survey.api.serializers.study import (
    DeletedStudySerializer,
    DryRunSerializer,
    StateSerializer,
    StepInputSerializer,
    StudyInputSerializer,
    StudyPatchSerializer,
    StudyQuerySerializer,
    StudySerializer,
    VersionSerializer,
)
from survey.canonical import canonical_json
from survey.models import Arm, Study, StudyMember
from survey.selectors.access import deleted_studies_visible_to, studies_visible_to
from survey.services.background import transition_begin
from survey.services.results.progress import progress_of
from survey.services.study.display import copies_bytes, disk_problems
from survey.services.study.plan import power_of
from survey.services.study.study import study_create, study_delete, study_update
from survey.services.study.version import version_config, version_problems
from survey.services.study.weaknesses import version_weaknesses
from survey.services.study.windows import windows_outlook


def _roles(user: Any) -> dict[int, str]:
    return dict(StudyMember.objects.filter(user_id=user.pk).values_list("study_id", "role"))


def _shown(study: Study, request: Request) -> dict[str, Any]:
    return StudySerializer(study, context={"roles": _roles(request.user)}).data


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
        parameters=[StudyQuerySerializer],
        responses=page_of(StudySerializer),
    )
    def get(self, request: Request) -> Response:
        """List the studies in which the caller has a role, newest first."""
        rows = studies_visible_to(request.user).filter(**filtered(request, StudyQuerySerializer))
        rows = rows.select_related("baseline")
        return paged(self, rows, StudySerializer, "-created_at", roles=_roles(request.user))

    @extend_schema(
        operation_id="studies_create",
        request=StudyInputSerializer,
        responses={201: StudySerializer},
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
        given = _with_baseline(None, checked(StudyInputSerializer, request.data))
        study = study_create(owner=request.user, **given)
        return Response(_shown(study, request), status=status.HTTP_201_CREATED)


class StudyDetail(APIView):
    # What cannot be undone asks for more than the scope to write.
    scopes = {"DELETE": Scope.RUN}

    @extend_schema(operation_id="study_get", responses=StudySerializer)
    def get(self, request: Request, slug: str) -> Response:
        """Show a study."""
        return Response(_shown(study_of_call(request, slug), request))

    @extend_schema(operation_id="study_update", request=StudyPatchSerializer(partial=True), responses=StudySerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Change a draft. A frozen study has to be revised first."""
        study = study_of_call(request, slug, change=True)
        given = checked(StudyPatchSerializer, request.data, partial=True, instance=study)
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
        parameters=[QuerySerializer],
        responses=page_of(DeletedStudySerializer),
    )
    def get(self, request: Request) -> Response:
        """List the drafts that the caller deleted, each with its log, newest first."""
        filtered(request, QuerySerializer)
        return paged(self, deleted_studies_visible_to(request.user), DeletedStudySerializer, "-deleted_at")


class DryRun(APIView):
    @extend_schema(operation_id="study_dry_run", responses=DryRunSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """Say what is wrong or weak about a draft before it is frozen."""
        study = study_of_call(request, slug)
        digest = hashlib.sha256(canonical_json(version_config(study))).hexdigest()
        result = {
            "problems": version_problems(study) or disk_problems(study),
            "weaknesses": version_weaknesses(study),
            "windows": [window.as_dict() for window in windows_outlook(study)],
            "copies_bytes": copies_bytes(study),
            "config_sha256": digest,
        }
        return Response(DryRunSerializer(result).data)


class StudyStep(APIView):
    scopes = {"POST": Scope.RUN}

    @extend_schema(
        operation_id="study_step",
        request=StepInputSerializer,
        responses={200: StateSerializer, 202: StateSerializer},
        examples=[OpenApiExample("Close", value={"reason": "all votes are in"}, request_only=True)],
    )
    def post(self, request: Request, slug: str, name: str) -> Response:
        """Carry out a named step: freeze, revise, pilot, end_pilot, open, pause, resume, close or archive."""
        study = study_of_call(request, slug, change=True)
        given = checked(StepInputSerializer, request.data)
        job = transition_begin(study=study, name=name, actor=request.user, reason=given["reason"])
        # The step was taken on a row of its own, under lock.
        study.refresh_from_db()
        body = StateSerializer({"state": study.state, "job": job.pk if job else None}).data
        return Response(body, status=status.HTTP_202_ACCEPTED if job else status.HTTP_200_OK)


class StudyProgress(APIView):
    @extend_schema(operation_id="study_progress", responses=ProgressSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """Say how a study goes: recruitment, times and flags, never which arm is preferred."""
        return Response(ProgressSerializer(progress_of(study_of_call(request, slug))).data)


class VersionList(APIView):
    @extend_schema(operation_id="versions_list", responses=VersionSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the frozen versions, newest first, each with its digests."""
        rows = study_of_call(request, slug).versions.select_related("frozen_by")
        return Response(VersionSerializer(rows, many=True).data)


class Planning(APIView):
    # A post for the size of its body alone: nothing is changed.
    scopes = {"POST": Scope.READ}

    @extend_schema(operation_id="planning", request=PlanningInputSerializer, responses=PlanningSerializer)
    def post(self, request: Request) -> Response:
        """Say what a design buys: interval, power, and the ceiling that pairs set."""
        return Response(PlanningSerializer(power_of(**checked(PlanningInputSerializer, request.data))).data)
