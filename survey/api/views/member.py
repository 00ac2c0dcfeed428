"""Who has which role."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import Scope, study_of_call
from survey.api.calls import checked
from survey.api.serializers.member import MemberSerializer
from survey.models import StudyMember
from survey.services.access.member import member_remove, member_set


class MemberList(APIView):
    # Roles decide who owns a study: more than a token that may write drafts should hand out.
    scopes = {"PUT": Scope.RUN}

    @extend_schema(operation_id="members_list", responses=MemberSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List who has which role."""
        rows = study_of_call(request, slug).members.select_related("user").order_by("user__username")
        return Response(MemberSerializer(rows, many=True).data)

    @extend_schema(operation_id="members_set", request=MemberSerializer, responses=MemberSerializer)
    def put(self, request: Request, slug: str) -> Response:
        """Give a person a role, or change it; for owners."""
        study = study_of_call(request, slug, manage=True)
        given = checked(MemberSerializer, request.data)
        user = get_user_model().objects.filter(username=given["user"]["username"], is_active=True).first()
        if user is None:
            raise serializers.ValidationError({"user": ["There is no active user with this name."]})
        member = member_set(study=study, user=user, role=given["role"], actor=request.user)
        return Response(MemberSerializer(member).data)


class MemberDetail(APIView):
    scopes = {"DELETE": Scope.RUN}

    @extend_schema(operation_id="members_remove", responses={204: None})
    def delete(self, request: Request, slug: str, user: str) -> Response:
        """Take a person's role away; for owners."""
        study = study_of_call(request, slug, manage=True)
        member = StudyMember.objects.filter(study=study, user__username=user).select_related("user").first()
        if member is None:
            raise Http404
        member_remove(study=study, user=member.user, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
