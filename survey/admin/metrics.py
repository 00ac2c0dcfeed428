"""Image metrics and figures in the admin: read-only, written by ``evaluate_images`` and ``make_figures``."""

from __future__ import annotations

from django.contrib import admin

from survey.admin.access import StudyListFilter, StudyScopedAdmin
from survey.models import ImageMetric, StudyFigure

__all__ = ["ImageMetricAdmin", "StudyFigureAdmin"]


@admin.register(ImageMetric)
class ImageMetricAdmin(StudyScopedAdmin):
    study_path = "arm__study"
    list_display = [
        "arm",
        "baseline",
        "is_of_pairs_seen",
        "class_label",
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
