"""Jobs that work on a study."""

from __future__ import annotations

import uuid

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs.services import job_retry
from survey.api.auth import study_of_call
from survey.api.calls import filtered, page_of, paged
from survey.api.serializers.base import QuerySerializer
from survey.api.serializers.job import JobSerializer
from survey.selectors.jobs import study_jobs
from survey.services.background import work_cancel


class JobList(APIView):
    @extend_schema(operation_id="jobs_list", parameters=[QuerySerializer], responses=page_of(JobSerializer))
    def get(self, request: Request, slug: str) -> Response:
        """List the jobs that work or worked on a study."""
        filtered(request, QuerySerializer)
        return paged(self, study_jobs(study_of_call(request, slug)), JobSerializer, "-created_at")


class JobStep(APIView):
    @extend_schema(operation_id="job_step", request=None, responses=JobSerializer)
    def post(self, request: Request, slug: str, job: uuid.UUID, name: str) -> Response:
        """Cancel a job, or retry one that failed or was cancelled."""
        row = study_jobs(study_of_call(request, slug, change=True)).filter(pk=job).first()
        if row is None:
            raise Http404
        return Response(JobSerializer((work_cancel if name == "cancel" else job_retry)(row)).data)
