import pytest

from survey.models import AuditEntry, ImageMetric
from survey.reports.facts import image_metric_differences, image_metrics
from survey.services.results.image_metrics import image_metrics_store
from tests.factories import make_study

pytestmark = pytest.mark.django_db


def _m(value: float | None, reason: str | None = None) -> dict:
    features = {"name": "classifier:judge", "sha256": "ab" * 32}
    return {"value": value, "ci95": None, "n": 5, "n_reference": 9, "features": features, "reason": reason}


def test_metrics_reach_the_report_under_their_arm_and_name():
    study = make_study()
    results = {"vanilla": {"kid": _m(0.5), "fid": _m(None, "no weights")}, "robust": {"kid": _m(0.25)}}
    assert image_metrics_store(study=study, results=results, reference="digits") == 3
    assert image_metrics(study) == results
    assert AuditEntry.objects.get(study=study, action="image metrics").detail["reference"] == "digits"


def test_a_new_evaluation_replaces_the_whole_old_one_of_its_arms_alone():
    study = make_study()
    image_metrics_store(study=study, results={"vanilla": {"kid": _m(0.5)}, "robust": {"kid": _m(1.0)}}, reference="a")
    image_metrics_store(study=study, results={"vanilla": {"recall": _m(0.7)}}, reference="b")
    assert image_metrics(study) == {"vanilla": {"recall": _m(0.7)}, "robust": {"kid": _m(1.0)}}
    assert set(ImageMetric.objects.values_list("reference", flat=True)) == {"a", "b"}


def _difference(**facts) -> dict:
    place = {"arm": "robust", "baseline": "vanilla", "metric": "kid", "class_label": "", "pairs": "all"}
    return {**place, **_m(0.5), "n_seeds": 1, **facts}


def test_differences_and_pairs_seen_reach_the_report_beside_the_arms_metrics():
    study = make_study()
    given = [_difference(), _difference(class_label="3"), _difference(pairs="seen", n_seeds=3)]
    results = {"vanilla": {"kid": _m(0.5)}, "robust": {"kid": _m(1.0)}}
    seen = {"vanilla": {"kid": _m(0.25)}}
    image_metrics_store(study=study, results=results, seen=seen, differences=given, reference="a")
    assert image_metric_differences(study) == given
    assert image_metrics(study) == results
    assert image_metrics(study, of_pairs_seen=True) == seen


def test_an_arm_measured_anew_has_no_differences_to_what_was():
    study = make_study()
    image_metrics_store(study=study, results={}, differences=[_difference()], reference="a")
    image_metrics_store(study=study, results={"vanilla": {"kid": _m(0.7)}}, reference="b")
    assert image_metric_differences(study) == []


def test_a_difference_without_its_seeds_is_refused():
    study = make_study()
    lacking = {key: value for key, value in _difference().items() if key != "n_seeds"}
    with pytest.raises(ValueError, match="kid of robust less vanilla has keys"):
        image_metrics_store(study=study, results={}, reference="a", differences=[lacking])


def test_other_studies_keep_their_metrics():
    first, second = make_study(), make_study()
    for study in (first, second):
        image_metrics_store(study=study, results={"vanilla": {"kid": _m(0.5)}}, reference="a")
    image_metrics_store(study=first, results={"vanilla": {}}, reference="a")
    assert image_metrics(first) == {}
    assert image_metrics(second) == {"vanilla": {"kid": _m(0.5)}}


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"other": {"kid": _m(0.5)}}, "no arm other"),
        ({"vanilla": {"kid": {"value": 0.5}}}, "expected ci95"),
        ({"vanilla": {"kid": _m(None)}}, "neither a value nor a reason"),
    ],
)
def test_what_is_no_metric_of_the_study_is_refused_and_nothing_changes(results: dict, message: str):
    study = make_study()
    image_metrics_store(study=study, results={"vanilla": {"kid": _m(0.5)}}, reference="a")
    with pytest.raises(ValueError, match=message):
        image_metrics_store(study=study, results=results, reference="b")
    assert image_metrics(study) == {"vanilla": {"kid": _m(0.5)}}
