"""One view an operation on a study's data: versions, sessions, votes, exclusions, reports, jobs, log, people."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs.services import job_retry
from survey.api import serializers as shapes
from survey.api.auth import Scope, study_of_call
from survey.api.views import checked, filtered, page_of, paged
from survey.links import personal_link
from survey.models import Exclusion, PersonalLink, RaterSession, Study, StudyMember, Webhook
from survey.reports.screening import exclusion_proposals
from survey.selectors.jobs import study_jobs
from survey.selectors.links import link_batches
from survey.selectors.vote import vote_rows
from survey.services.access.member import member_remove, member_set
from survey.services.background import exclusions_begin, work_cancel
from survey.services.panel.erasure import identity_erase
from survey.services.panel.links import personal_link_revoke, personal_links_create
from survey.services.panel.reconciliation import PanelRow, submissions_reconcile
from survey.services.records.webhook import webhook_add, webhook_remove, webhook_switch, webhook_test
from survey.services.results.exclusion import exclusion_by_hand, exclusion_revoke, exclusions_apply
from survey.services.results.report_build import report_request, results_require_visible
from survey.services.study.plan import power_of


class VersionList(APIView):
    @extend_schema(operation_id="versions_list", responses=shapes.VersionSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the frozen versions, newest first, each with its digests."""
        rows = study_of_call(request, slug).versions.select_related("frozen_by")
        return Response(shapes.VersionSerializer(rows, many=True).data)


class SessionList(APIView):
    @extend_schema(
        operation_id="sessions_list",
        parameters=[shapes.SessionQuerySerializer],
        responses=page_of(shapes.SessionSerializer),
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the visits of raters, newest first."""
        rows = RaterSession.objects.filter(version__study=study_of_call(request, slug))
        rows = rows.filter(**filtered(request, shapes.SessionQuerySerializer)).select_related("version")
        return paged(self, rows, shapes.SessionSerializer, "-started_at")


class Votes(APIView):
    @extend_schema(
        operation_id="votes_export",
        parameters=[shapes.VotesQuerySerializer],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        """Stream the votes table; refused while the plan hides the results."""
        from analysis.votes.writing import csv_chunks, jsonl_chunks

        study = study_of_call(request, slug)
        given = checked(shapes.VotesQuerySerializer, request.query_params)
        results_require_visible(study, is_pilot=given["is_pilot"])
        is_csv = given["as_format"] == "csv"
        chunks = (csv_chunks if is_csv else jsonl_chunks)(vote_rows(study, is_pilot=given["is_pilot"]))
        kind = "text/csv; charset=utf-8" if is_csv else "application/jsonl"
        return StreamingHttpResponse(chunks, content_type=kind)


class ExclusionList(APIView):
    @extend_schema(
        operation_id="exclusions_list",
        parameters=[shapes.QuerySerializer],
        responses=page_of(shapes.ExclusionSerializer),
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the ledger of exclusions, those taken back included."""
        filtered(request, shapes.QuerySerializer)
        rows = Exclusion.objects.filter(session__version__study=study_of_call(request, slug)).select_related("made_by")
        return paged(self, rows, shapes.ExclusionSerializer, "-pk")

    @extend_schema(
        operation_id="exclusions_apply",
        request=shapes.ExclusionInputSerializer,
        responses={200: shapes.ProposalSerializer(many=True), 202: shapes.JobMadeSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Exclude one session by hand, or those that rules flag; a worker screens a study of many votes (202)."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.ExclusionInputSerializer, request.data)
        if "session" in given:
            exclusion_by_hand(study=study, session_id=given["session"], reason=given["reason"], actor=request.user)
            return Response([])
        asked = {"rules": given.get("rules"), "is_pilot": given["is_pilot"]}
        job = exclusions_begin(study=study, is_preview=given["is_preview"], actor=request.user, **asked)
        if job:
            return Response({"job": job.pk}, status=status.HTTP_202_ACCEPTED)
        proposals = exclusion_proposals(study, **asked)
        if not given["is_preview"]:
            exclusions_apply(study=study, proposals=proposals, actor=request.user)
        return Response(shapes.ProposalSerializer(proposals, many=True).data)


class ExclusionRevoke(APIView):
    @extend_schema(
        operation_id="exclusion_revoke", request=shapes.ReasonSerializer, responses=shapes.ExclusionSerializer
    )
    def post(self, request: Request, slug: str, exclusion: int) -> Response:
        """Take an exclusion back."""
        study = study_of_call(request, slug, change=True)
        row = Exclusion.objects.filter(session__version__study=study, pk=exclusion).first()
        if row is None:
            raise Http404
        given = checked(shapes.ReasonSerializer, request.data)
        row = exclusion_revoke(exclusion=row, reason=given["reason"], actor=request.user)
        return Response(shapes.ExclusionSerializer(row).data)


class ReportList(APIView):
    @extend_schema(
        operation_id="reports_list", parameters=[shapes.QuerySerializer], responses=page_of(shapes.ReportSerializer)
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the reports that were built, newest first."""
        filtered(request, shapes.QuerySerializer)
        return paged(self, study_of_call(request, slug).reports.all(), shapes.ReportSerializer, "-created_at")

    @extend_schema(
        operation_id="reports_create", request=shapes.ReportInputSerializer, responses={202: shapes.ReportSerializer}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Build a report on a worker; refused while the plan hides the results."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.ReportInputSerializer, request.data)
        build = report_request(study=study, actor=request.user, is_pilot=given["is_pilot"])
        return Response(shapes.ReportSerializer(build).data, status=status.HTTP_202_ACCEPTED)


class ReportFile(APIView):
    @extend_schema(operation_id="report_file", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, slug: str, build: int, name: str) -> HttpResponseBase:
        """Download one file of a report."""
        study = study_of_call(request, slug)
        row = study.reports.filter(pk=build).first()
        if row is None or name not in row.files:
            raise Http404
        results_require_visible(study, is_pilot=row.is_pilot)
        stored = row.files[name]["name"]
        if not default_storage.exists(stored):
            raise Http404
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return FileResponse(default_storage.open(stored), as_attachment=True, filename=name, content_type=kind)


class JobList(APIView):
    @extend_schema(
        operation_id="jobs_list", parameters=[shapes.QuerySerializer], responses=page_of(shapes.JobSerializer)
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the jobs that work or worked on a study."""
        filtered(request, shapes.QuerySerializer)
        return paged(self, study_jobs(study_of_call(request, slug)), shapes.JobSerializer, "-created_at")


class JobStep(APIView):
    @extend_schema(operation_id="job_step", request=None, responses=shapes.JobSerializer)
    def post(self, request: Request, slug: str, job: uuid.UUID, name: str) -> Response:
        """Cancel a job, or retry one that failed or was cancelled."""
        row = study_jobs(study_of_call(request, slug, change=True)).filter(pk=job).first()
        if row is None:
            raise Http404
        return Response(shapes.JobSerializer((work_cancel if name == "cancel" else job_retry)(row)).data)


class Log(APIView):
    @extend_schema(
        operation_id="log_list", parameters=[shapes.QuerySerializer], responses=page_of(shapes.AuditSerializer)
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the hash-chained log, newest first."""
        filtered(request, shapes.QuerySerializer)
        return paged(self, study_of_call(request, slug).audit_entries.all(), shapes.AuditSerializer, "-number")


class MemberList(APIView):
    scopes = {"PUT": Scope.RUN}

    @extend_schema(operation_id="members_list", responses=shapes.MemberSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List who has which role."""
        rows = study_of_call(request, slug).members.select_related("user").order_by("user__username")
        return Response(shapes.MemberSerializer(rows, many=True).data)

    @extend_schema(operation_id="members_set", request=shapes.MemberSerializer, responses=shapes.MemberSerializer)
    def put(self, request: Request, slug: str) -> Response:
        """Give a person a role, or change it; for owners."""
        study = study_of_call(request, slug, manage=True)
        given = checked(shapes.MemberSerializer, request.data)
        user = get_user_model().objects.filter(username=given["user"]["username"], is_active=True).first()
        if user is None:
            raise serializers.ValidationError({"user": ["There is no active user of this name."]})
        member = member_set(study=study, user=user, role=given["role"], actor=request.user)
        return Response(shapes.MemberSerializer(member).data)


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


class WebhookList(APIView):
    @extend_schema(operation_id="webhooks_list", responses=shapes.WebhookSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the addresses that are told about changes of state."""
        return Response(shapes.WebhookSerializer(study_of_call(request, slug).webhooks.all(), many=True).data)

    @extend_schema(
        operation_id="webhooks_create",
        request=shapes.WebhookInputSerializer,
        responses={201: shapes.WebhookMadeSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Add an address; the answer shows the secret that signs what is sent, this once."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.WebhookInputSerializer, request.data)
        webhook = webhook_add(study=study, url=given["url"], actor=request.user)
        return Response(shapes.WebhookMadeSerializer(webhook).data, status=status.HTTP_201_CREATED)


def _webhook(request: Request, slug: str, pk: int, *, change: bool = True) -> Webhook:
    row = study_of_call(request, slug, change=change).webhooks.filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


class WebhookDetail(APIView):
    @extend_schema(
        operation_id="webhook_switch", request=shapes.WebhookSwitchSerializer, responses=shapes.WebhookSerializer
    )
    def patch(self, request: Request, slug: str, webhook: int) -> Response:
        """Turn an address off, or on again."""
        row = _webhook(request, slug, webhook)
        given = checked(shapes.WebhookSwitchSerializer, request.data)
        return Response(shapes.WebhookSerializer(webhook_switch(webhook=row, actor=request.user, **given)).data)

    @extend_schema(operation_id="webhook_delete", responses={204: None})
    def delete(self, request: Request, slug: str, webhook: int) -> Response:
        """Remove an address with its deliveries."""
        webhook_remove(webhook=_webhook(request, slug, webhook), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookDeliveries(APIView):
    @extend_schema(
        operation_id="webhook_deliveries",
        parameters=[shapes.QuerySerializer],
        responses=page_of(shapes.DeliverySerializer),
    )
    def get(self, request: Request, slug: str, webhook: int) -> Response:
        """List what was sent to an address, newest first, with what it answered."""
        filtered(request, shapes.QuerySerializer)
        rows = _webhook(request, slug, webhook, change=False).deliveries.all()
        return paged(self, rows, shapes.DeliverySerializer, "-created_at")


class WebhookTest(APIView):
    @extend_schema(operation_id="webhook_test", request=None, responses={202: shapes.DeliverySerializer})
    def post(self, request: Request, slug: str, webhook: int) -> Response:
        """Send an event ``study.test``, once; the deliveries say what became of it."""
        delivery = webhook_test(webhook=_webhook(request, slug, webhook))
        return Response(shapes.DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


class Links(APIView):
    @extend_schema(operation_id="links_list", responses=shapes.LinkBatchSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the batches of personal links, newest first."""
        return Response(shapes.LinkBatchSerializer(link_batches(study_of_call(request, slug)), many=True).data)

    @extend_schema(
        operation_id="links_create", request=shapes.LinksInputSerializer, responses={201: shapes.LinksSerializer}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Make a batch of personal links."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.LinksInputSerializer, request.data)
        links = personal_links_create(study=study, count=given["count"], actor=request.user)
        return Response(_links_shown(study, links[0].batch, links), status=status.HTTP_201_CREATED)


def _links_shown(study: Study, batch: int, links: Iterable[PersonalLink]) -> dict[str, Any]:
    return shapes.LinksSerializer({"batch": batch, "links": [personal_link(study, link) for link in links]}).data


class LinkBatch(APIView):
    @extend_schema(operation_id="links_of_batch", responses=shapes.LinksSerializer)
    def get(self, request: Request, slug: str, batch: int) -> Response:
        """Show the links of a batch again, without those that were closed."""
        study = study_of_call(request, slug)
        links = study.personal_links.filter(batch=batch)
        if not links.exists():
            raise Http404
        return Response(_links_shown(study, batch, links.filter(is_revoked=False)))


class LinkRevoke(APIView):
    @extend_schema(operation_id="link_revoke", request=None, responses={204: None})
    def post(self, request: Request, slug: str, batch: int, number: int) -> Response:
        """Close one link; a visit that it opened goes on."""
        study = study_of_call(request, slug, change=True)
        link = study.personal_links.select_related("study").filter(batch=batch, number=number).first()
        if link is None:
            raise Http404
        personal_link_revoke(link=link, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ErasureList(APIView):
    scopes = {"POST": Scope.RUN}

    @extend_schema(operation_id="erasures_list", responses=shapes.ErasureSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the proofs of erasure."""
        rows = study_of_call(request, slug).erasures.order_by("-erased_at")
        return Response(shapes.ErasureSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="erasures_create",
        request=shapes.ErasureInputSerializer,
        responses={201: shapes.ErasureSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Erase who a person is; the anonymous votes stay. For owners."""
        study = study_of_call(request, slug, manage=True)
        given = checked(shapes.ErasureInputSerializer, request.data)
        proof = identity_erase(study=study, panel_id=given["panel_id"], actor=request.user)
        return Response(shapes.ErasureSerializer(proof).data, status=status.HTTP_201_CREATED)


class Reconcile(APIView):
    @extend_schema(
        operation_id="submissions_reconcile",
        request=shapes.ReconcileInputSerializer,
        responses=shapes.ReconciliationSerializer,
    )
    def post(self, request: Request, slug: str) -> Response:
        """Compare the panel's submissions with the sessions here, and list every difference."""
        study = study_of_call(request, slug, change=True)
        given = checked(shapes.ReconcileInputSerializer, request.data)
        rows = [PanelRow(**row) for row in given["submissions"]]
        provider = study.recruitment.get("provider", "open")
        found = submissions_reconcile(study=study, provider=provider, rows=rows, actor=request.user)
        return Response(shapes.ReconciliationSerializer(found).data)


class Planning(APIView):
    scopes = {"POST": Scope.READ}

    @extend_schema(operation_id="planning", request=shapes.PlanningInputSerializer, responses=shapes.PlanningSerializer)
    def post(self, request: Request) -> Response:
        """Say what a design buys: interval, power, and the ceiling that pairs set."""
        return Response(
            shapes.PlanningSerializer(power_of(**checked(shapes.PlanningInputSerializer, request.data))).data
        )
