"""Static files under names that hold their digest, so that a browser may keep each for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage

__all__ = ["HashedStaticFilesStorage"]


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Rewrite what JavaScript modules import as well: else an old module could meet a new one in a cache."""

    support_js_module_import_aggregation = True
