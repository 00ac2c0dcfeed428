"""Image pairs of a study, and their import."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import study_of_call
from survey.api.calls import checked, filtered, page_of, paged
from survey.api.serializers.pair import (
    ImportInputSerializer,
    ImportSerializer,
    PairQuerySerializer,
    PairsChangedSerializer,
    PairSerializer,
    PairsInputSerializer,
    PairsRemoveSerializer,
)
from survey.exceptions import StudyNotEditable
from survey.models import Study
from survey.services.background import import_begin
from survey.services.images.class_names import MOST_CLASS_BYTES, class_names_read
from survey.services.images.import_sources import zip_sources
from survey.services.images.importing import ImportReport, import_check
from survey.services.images.manifest import UploadedTable
from survey.services.images.pairs import pairs_remove, pairs_select


class Import(APIView):
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="images_import",
        request={"multipart/form-data": ImportInputSerializer},
        responses={200: ImportSerializer, 202: ImportSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Import a zip of one folder per arm, whole or not at all; a large one by a worker (202)."""
        study = study_of_call(request, slug, change=True)
        given = checked(ImportInputSerializer, request.data)
        # Before the zip is read, which may take long and would be for nothing.
        if study.state != Study.State.DRAFT:
            raise StudyNotEditable
        names = class_names_read(given["classes"].read(MOST_CLASS_BYTES + 1)) if "classes" in given else {}
        table = UploadedTable.of(given["pairs"], name=given["pairs"].name) if "pairs" in given else None
        rules = {"study": study, "class_names": names}
        rules |= {name: given[name] for name in ("leave_out_unmatched", "are_texts_read")}
        if given["is_check"]:
            with zip_sources(given["zip"], manifest=table and table.table) as sources:
                report = import_check(sources=sources, **rules)
            return Response(ImportSerializer(report.as_dict() | {"job": None}).data)
        report, job = import_begin(file=given["zip"], manifest=table, actor=request.user, **rules)
        if report is None:
            empty = ImportReport(arms=[]).as_dict() | {"job": job.pk}
            return Response(ImportSerializer(empty).data, status=status.HTTP_202_ACCEPTED)
        return Response(ImportSerializer(report.as_dict() | {"job": None}).data)


class Pairs(APIView):
    @extend_schema(operation_id="pairs_list", parameters=[PairQuerySerializer], responses=page_of(PairSerializer))
    def get(self, request: Request, slug: str) -> Response:
        """List the pairs with the digests of their images."""
        rows = study_of_call(request, slug).pairs.filter(**filtered(request, PairQuerySerializer))
        return paged(self, rows.select_related("reference").prefetch_related("images__arm"), PairSerializer, "key")

    @extend_schema(operation_id="pairs_select", request=PairsInputSerializer, responses=PairsChangedSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Leave pairs of a draft out when it is frozen, or take them in again."""
        study = study_of_call(request, slug, change=True)
        given = checked(PairsInputSerializer, request.data)
        return Response({"changed": pairs_select(study=study, actor=request.user, **given)})


class PairsRemove(APIView):
    @extend_schema(operation_id="pairs_remove", request=PairsRemoveSerializer, responses=PairsChangedSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Remove pairs from a draft, unless a frozen version has them."""
        study = study_of_call(request, slug, change=True)
        given = checked(PairsRemoveSerializer, request.data)
        return Response({"changed": pairs_remove(study=study, actor=request.user, **given)})
