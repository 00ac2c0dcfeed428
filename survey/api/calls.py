"""What the researchers' operations share: the check of what was sent, filters, and pages of rows."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import pagination, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.serializers.base import QuerySerializer


class Cursor(pagination.CursorPagination):
    """Pages that stay right while rows are added, and cost the same at row ten and row ten million."""

    page_size = 100
    page_size_query_param = "page_size"
    # A page is built in memory.
    max_page_size = 500


def checked(kind: type[serializers.BaseSerializer], data: Any, **options: Any) -> dict[str, Any]:
    """Return the data in the shape of a serializer, or raise the errors of all fields."""
    serializer = kind(data=data, **options)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def filtered(request: Request, kind: type[QuerySerializer]) -> dict[str, Any]:
    """Return the filters of a list that were given: only those that its serializer names."""
    given = checked(kind, request.query_params)
    # The pager reads cursor and size from the request itself.
    return {name: value for name, value in given.items() if name not in {"cursor", "page_size"} and value is not None}


def paged(
    view: APIView, rows: QuerySet, kind: type[serializers.BaseSerializer], order: str, **context: Any
) -> Response:
    """Return one page of rows in a fixed order."""
    cursor = Cursor()
    # The key after it makes the order total: rows of one moment would else be shown twice or not at all.
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
