"""Addresses of the researchers' API, version 1. The raters' own endpoints are in survey/urls.py."""

from __future__ import annotations

from django.urls import path, re_path, register_converter
from django.urls.converters import IntConverter, StringConverter
from drf_spectacular.views import SpectacularJSONAPIView

from survey.api import data_views as data
from survey.api import docs, views
from survey.api.errors import nothing_here

app_name = "api"


class RowId(IntConverter):
    """A row's number, as large as a database key can be."""

    regex = "[1-9][0-9]{0,17}"


class JobVerb(StringConverter):
    regex = "cancel|retry"


register_converter(RowId, "row")
register_converter(JobVerb, "job_verb")
STUDY = "studies/<slug:slug>/"

urlpatterns = [
    path("schema/", SpectacularJSONAPIView.as_view(api_version="v1"), name="schema"),
    path("docs/", docs.docs, name="docs"),
    path("planning/", data.Planning.as_view()),
    path("deleted-studies/", views.DeletedStudyList.as_view()),
    path("studies/", views.StudyList.as_view(), name="studies"),
    path(STUDY, views.StudyDetail.as_view(), name="study"),
    path(f"{STUDY}arms/", views.ArmList.as_view()),
    path(f"{STUDY}arms/<slug:name>/", views.ArmDetail.as_view()),
    path(f"{STUDY}import/", views.Import.as_view()),
    path(f"{STUDY}pairs/", views.Pairs.as_view()),
    path(f"{STUDY}pairs/remove/", views.PairsRemove.as_view()),
    path(f"{STUDY}dry-run/", views.DryRun.as_view()),
    path(f"{STUDY}steps/<slug:name>/", views.Step.as_view()),
    path(f"{STUDY}progress/", views.Progress.as_view()),
    path(f"{STUDY}versions/", data.VersionList.as_view()),
    path(f"{STUDY}sessions/", data.SessionList.as_view()),
    path(f"{STUDY}votes/", data.Votes.as_view()),
    path(f"{STUDY}exclusions/", data.ExclusionList.as_view()),
    path(f"{STUDY}exclusions/<row:exclusion>/revoke/", data.ExclusionRevoke.as_view()),
    path(f"{STUDY}reports/", data.ReportList.as_view()),
    path(f"{STUDY}reports/<row:build>/<path:name>", data.ReportFile.as_view()),
    path(f"{STUDY}jobs/", data.JobList.as_view()),
    path(f"{STUDY}jobs/<uuid:job>/<job_verb:name>/", data.JobStep.as_view()),
    path(f"{STUDY}log/", data.Log.as_view()),
    path(f"{STUDY}members/", data.MemberList.as_view()),
    path(f"{STUDY}members/<str:user>/", data.MemberDetail.as_view()),
    path(f"{STUDY}webhooks/", data.WebhookList.as_view()),
    path(f"{STUDY}webhooks/<row:webhook>/", data.WebhookDetail.as_view()),
    path(f"{STUDY}webhooks/<row:webhook>/deliveries/", data.WebhookDeliveries.as_view()),
    path(f"{STUDY}webhooks/<row:webhook>/test/", data.WebhookTest.as_view()),
    path(f"{STUDY}erasures/", data.ErasureList.as_view()),
    path(f"{STUDY}reconcile/", data.Reconcile.as_view()),
    path(f"{STUDY}links/", data.Links.as_view()),
    path(f"{STUDY}links/<row:batch>/", data.LinkBatch.as_view()),
    path(f"{STUDY}links/<row:batch>/<row:number>/revoke/", data.LinkRevoke.as_view()),
    # A wrong address is answered as everything else here: with a problem.
    re_path(r"^.*$", nothing_here),
]
