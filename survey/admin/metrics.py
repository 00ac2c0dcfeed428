"""Image metrics and figures in the admin: read-only, written by ``evaluate_images`` and ``make_figures``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from analysis.metric_names import metric_name
from survey.admin.access import StudyListFilter, StudyScopedAdmin
from survey.models import ImageMetric, ImagePair, StudyFigure

__all__ = ["ImageMetricAdmin", "StudyFigureAdmin"]


class SeenFilter(admin.BooleanFieldListFilter):
    """All images of an arm, or those of the pairs that raters saw."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "pairs that raters saw"


class MetricFilter(admin.AllValuesFieldListFilter):
    """Metrics by what they are called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "metric"

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield choice | {"display": metric_name(str(choice["display"]))}


@admin.register(ImageMetric)
class ImageMetricAdmin(StudyScopedAdmin):
    study_path = "arm__study"
    list_display = ["metric", "whose", "of_pairs", "of_class", "value", "interval", "images", "network", "note"]
    list_filter = [StudyListFilter, ("name", MetricFilter), ("is_of_pairs_seen", SeenFilter)]
    fields = [*list_display, "reference", "computed_at"]
    list_select_related = ["arm__study", "baseline"]
    ordering = ["arm_id", "class_label", "name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImageMetric]:
        # One pair tells what its class is called: a class has one name.
        of_class = ImagePair.objects.filter(study=OuterRef("arm__study"), class_label=OuterRef("class_label"))
        called = Subquery(of_class.order_by().values("class_name")[:1])
        return super().get_queryset(request).annotate(class_name=called)

    @admin.display(ordering="name")
    def metric(self, metric: ImageMetric) -> str:
        return metric_name(metric.name)

    @admin.display(description="pairs", ordering="is_of_pairs_seen")
    def of_pairs(self, metric: ImageMetric) -> str:
        return "seen by raters" if metric.is_of_pairs_seen else "all"

    @admin.display(description="arm", ordering="arm__name")
    def whose(self, metric: ImageMetric) -> str:
        return f"{metric.arm.name} less {metric.baseline.name}" if metric.baseline else metric.arm.name

    # Texts for what is not there: a page of one row would show None.
    @admin.display(description="class", ordering="class_label")
    def of_class(self, metric: ImageMetric) -> str:
        return metric.class_name or metric.class_label or "all"

    @admin.display(description="value")
    def value(self, metric: ImageMetric) -> str:
        value = metric.result["value"]
        return "not computed" if value is None else f"{value:.5g}"

    @admin.display(description="95 % interval")
    def interval(self, metric: ImageMetric) -> str:
        bounds = metric.result["ci95"]
        return "–" if bounds is None else f"{bounds[0]:.4g} to {bounds[1]:.4g}"

    @admin.display(description="images / reference")
    def images(self, metric: ImageMetric) -> str:
        reference = metric.result["n_reference"]
        return f"{metric.result['n']} / {'not known' if reference is None else reference}"

    @admin.display(description="features")
    def network(self, metric: ImageMetric) -> str:
        return (metric.result["features"] or {}).get("name") or "–"

    @admin.display(description="note")
    def note(self, metric: ImageMetric) -> str:
        return metric.result["reason"] or ""


@admin.register(StudyFigure)
class StudyFigureAdmin(StudyScopedAdmin):
    list_display = ["title", "study", "made_at"]
    fields = ["study", "title", "description", "made_at"]
    list_filter = [StudyListFilter]
    list_select_related = ["study"]
