"""Distances between sets of images on arrays of features: Frechet and kernel distances, manifolds, Inception score."""

from analysis.images.evaluation import (
    METRIC_KEYS,
    class_accuracy,
    evaluate_arm,
    evaluate_per_class,
)
from analysis.images.frechet import (
    GaussianFit,
    fit_gaussian,
    frechet_distance,
    frechet_distance_of_features,
    gaussian_from_moments,
)
from analysis.images.given import ArmFeatures, EvaluationRules, ReferenceFeatures
from analysis.images.inception_score import inception_score
from analysis.images.kernel import kernel_distance, polynomial_mmd2
from analysis.images.moments import FeatureMoments, moments_of
from analysis.images.neighbours import manifold_metrics, nearest_squared_distances
from analysis.images.results import FeatureIdentity, MetricResult, refused_metric
from analysis.images.seeds import metrics_over_seeds
from analysis.images.sliced import sliced_distance
from analysis.images.uncertainty import (
    bootstrap_frechet,
    extrapolate_frechet,
    frechet_standard_error,
    interval_over_seeds,
)

__all__ = [
    "METRIC_KEYS",
    "ArmFeatures",
    "EvaluationRules",
    "FeatureIdentity",
    "FeatureMoments",
    "GaussianFit",
    "MetricResult",
    "ReferenceFeatures",
    "bootstrap_frechet",
    "class_accuracy",
    "evaluate_arm",
    "evaluate_per_class",
    "extrapolate_frechet",
    "fit_gaussian",
    "frechet_distance",
    "frechet_distance_of_features",
    "frechet_standard_error",
    "gaussian_from_moments",
    "inception_score",
    "interval_over_seeds",
    "kernel_distance",
    "manifold_metrics",
    "metrics_over_seeds",
    "moments_of",
    "nearest_squared_distances",
    "polynomial_mmd2",
    "refused_metric",
    "sliced_distance",
]
