"""Addresses of the researchers' API, version 1. The raters' own endpoints are in survey/urls.py."""

from __future__ import annotations

from django.urls import path, re_path, register_converter
from django.urls.converters import IntConverter, StringConverter
from drf_spectacular.views import SpectacularJSONAPIView

from survey.api import docs
from survey.api.errors import nothing_here
from survey.api.views import arm, exclusion, job, log, member, pair, panel, report, session, study, upload, webhook

app_name = "api"


class RowId(IntConverter):
    """A row's number, as large as a database key can be."""

    # One digit less than a signed 64-bit key can have, so that no number overflows the database.
    regex = "[1-9][0-9]{0,17}"


class JobVerb(StringConverter):
    regex = "cancel|retry"


register_converter(RowId, "row")
register_converter(JobVerb, "job_verb")
STUDY = "studies/<slug:slug>/"

urlpatterns = [
    path("schema/", SpectacularJSONAPIView.as_view(api_version="v1"), name="schema"),
    path("docs/", docs.docs, name="docs"),
    path("planning/", study.Planning.as_view()),
    path("deleted-studies/", study.DeletedStudyList.as_view()),
    path("studies/", study.StudyList.as_view(), name="studies"),
    path(STUDY, study.StudyDetail.as_view(), name="study"),
    path(f"{STUDY}arms/", arm.ArmList.as_view()),
    path(f"{STUDY}arms/<slug:name>/", arm.ArmDetail.as_view()),
    path(f"{STUDY}import/", pair.Import.as_view()),
    path("may-upload/", upload.MayUpload.as_view()),
    path(f"{STUDY}pairs/", pair.Pairs.as_view()),
    path(f"{STUDY}pairs/remove/", pair.PairsRemove.as_view()),
    path(f"{STUDY}dry-run/", study.DryRun.as_view()),
    path(f"{STUDY}steps/<slug:name>/", study.StudyStep.as_view()),
    path(f"{STUDY}progress/", study.StudyProgress.as_view()),
    path(f"{STUDY}versions/", study.VersionList.as_view()),
    path(f"{STUDY}sessions/", session.SessionList.as_view()),
    path(f"{STUDY}votes/", session.Votes.as_view()),
    path(f"{STUDY}raters/", session.Raters.as_view()),
    path(f"{STUDY}exclusions/", exclusion.ExclusionList.as_view()),
    path(f"{STUDY}exclusions/<row:exclusion>/revoke/", exclusion.ExclusionRevoke.as_view()),
    path(f"{STUDY}reports/", report.ReportList.as_view()),
    path(f"{STUDY}reports/<row:build>/<path:name>", report.ReportFile.as_view()),
    path(f"{STUDY}jobs/", job.JobList.as_view()),
    path(f"{STUDY}jobs/<uuid:job>/<job_verb:name>/", job.JobStep.as_view()),
    path(f"{STUDY}log/", log.Log.as_view()),
    path(f"{STUDY}members/", member.MemberList.as_view()),
    path(f"{STUDY}members/<str:user>/", member.MemberDetail.as_view()),
    path(f"{STUDY}webhooks/", webhook.WebhookList.as_view()),
    path(f"{STUDY}webhooks/<row:webhook>/", webhook.WebhookDetail.as_view()),
    path(f"{STUDY}webhooks/<row:webhook>/deliveries/", webhook.WebhookDeliveries.as_view()),
    path(f"{STUDY}webhooks/<row:webhook>/test/", webhook.WebhookTest.as_view()),
    path(f"{STUDY}erasures/", panel.ErasureList.as_view()),
    path(f"{STUDY}reconcile/", panel.Reconcile.as_view()),
    path(f"{STUDY}links/", panel.Links.as_view()),
    path(f"{STUDY}links/<row:batch>/", panel.LinkBatch.as_view()),
    path(f"{STUDY}links/<row:batch>/<row:number>/revoke/", panel.LinkRevoke.as_view()),
    # A wrong address is answered as everything else here: with a problem.
    re_path(r"^.*$", nothing_here),
]
