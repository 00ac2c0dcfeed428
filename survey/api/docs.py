"""The API's own page: made from the OpenAPI document on the server, no script from elsewhere."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from drf_spectacular.generators import SchemaGenerator

__all__ = ["docs"]


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return components.get(name, schema)


# The document changes with the code alone, and takes long to build.
@lru_cache(maxsize=1)
def _operations() -> list[dict[str, Any]]:
    document = SchemaGenerator(api_version="v1").get_schema(public=True)
    components = document["components"]["schemas"]
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body: dict[str, Any] = {}
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                body = {"kind": kind, "schema": _resolved(content["schema"], components)}
                body["examples"] = [
                    json.dumps(example["value"], indent=2) for example in content.get("examples", {}).values()
                ]
            found.append(
                {
                    "path": path,
                    "method": method.upper(),
                    "id": operation["operationId"],
                    "text": operation.get("description", ""),
                    "parameters": operation.get("parameters", []),
                    "body": body,
                    "fields": sorted(body.get("schema", {}).get("properties", {}).items()),
                    "required": body.get("schema", {}).get("required", []),
                    "answers": sorted(code for code in operation["responses"] if code < "300"),
                }
            )
    return found


@require_GET
@staff_member_required
def docs(request: HttpRequest) -> HttpResponse:
    """Show every operation with its parameters, body and answers."""
    context = {"operations": _operations(), "origin": request.build_absolute_uri("/")}
    return render(request, "survey/api/docs.html", admin.site.each_context(request) | context)
