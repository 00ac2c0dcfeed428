"""Arms of a study."""

from __future__ import annotations

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import study_of_call
from survey.api.calls import checked
from survey.api.serializers.arm import ArmInputSerializer, ArmRenameSerializer, ArmSerializer
from survey.models import Arm
from survey.services.study.study import arm_add, arm_remove, arm_rename


class ArmList(APIView):
    @extend_schema(operation_id="arms_list", responses=ArmSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the arms."""
        return Response(ArmSerializer(study_of_call(request, slug).arms.all(), many=True).data)

    @extend_schema(operation_id="arms_create", request=ArmInputSerializer, responses={201: ArmSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Add an arm to a draft, or change the recipe of the one of that name."""
        study = study_of_call(request, slug, change=True)
        arm = arm_add(study=study, actor=request.user, **checked(ArmInputSerializer, request.data))
        return Response(ArmSerializer(arm).data, status=status.HTTP_201_CREATED)


class ArmDetail(APIView):
    @extend_schema(operation_id="arm_rename", request=ArmRenameSerializer, responses=ArmSerializer)
    def patch(self, request: Request, slug: str, name: str) -> Response:
        """Give an arm of a draft another name; its images stay with it."""
        arm = _arm(request, slug, name)
        given = checked(ArmRenameSerializer, request.data)
        return Response(ArmSerializer(arm_rename(arm=arm, actor=request.user, **given)).data)

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
