"""Image metrics and figures in the admin: read-only, written by ``evaluate_images`` and ``make_figures``."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from survey.admin.access import StudyListFilter, StudyScopedAdmin
from survey.models import ImageMetric, ImagePair, StudyFigure

__all__ = ["ImageMetricAdmin", "StudyFigureAdmin"]


@admin.register(ImageMetric)
class ImageMetricAdmin(StudyScopedAdmin):
    study_path = "arm__study"
    list_display = [
        "arm",
        "baseline",
        "is_of_pairs_seen",
        "of_class",
        "name",
        "value",
        "interval",
        "images",
        "network",
        "reason",
        "reference",
        "computed_at",
    ]
    list_filter = [StudyListFilter, "name", "is_of_pairs_seen"]
    list_select_related = ["arm__study", "baseline"]
    ordering = ["arm_id", "class_label", "name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImageMetric]:
        # One pair tells what its class is called: a class has one name.
        of_class = ImagePair.objects.filter(study=OuterRef("arm__study"), class_label=OuterRef("class_label"))
        called = Subquery(of_class.order_by().values("class_name")[:1])
        return super().get_queryset(request).annotate(class_name=called)

    @admin.display(description="class", ordering="class_label", empty_value="all")
    def of_class(self, metric: ImageMetric) -> str | None:
        return metric.class_name or metric.class_label or None

    @admin.display(empty_value="not computed")
    def value(self, metric: ImageMetric) -> str | None:
        value = metric.result["value"]
        return None if value is None else f"{value:.5g}"

    @admin.display(description="95 % interval", empty_value="-")
    def interval(self, metric: ImageMetric) -> str | None:
        bounds = metric.result["ci95"]
        return None if bounds is None else f"{bounds[0]:.4g} to {bounds[1]:.4g}"

    @admin.display(description="images / reference")
    def images(self, metric: ImageMetric) -> str:
        reference = metric.result["n_reference"]
        return f"{metric.result['n']} / {'not known' if reference is None else reference}"

    @admin.display(description="features", empty_value="-")
    def network(self, metric: ImageMetric) -> str | None:
        return (metric.result["features"] or {}).get("name")

    @admin.display(empty_value="")
    def reason(self, metric: ImageMetric) -> str | None:
        return metric.result["reason"]


@admin.register(StudyFigure)
class StudyFigureAdmin(StudyScopedAdmin):
    list_display = ["name", "study", "title", "made_at"]
    list_filter = [StudyListFilter]
    list_select_related = ["study"]
