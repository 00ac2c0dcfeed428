"""The researcher's side in Django admin. Importing the package registers every page."""

from django.contrib import admin

from survey.admin import api_token, home, metrics, rows, study

__all__ = ["api_token", "home", "metrics", "rows", "study"]

admin.site.site_header = "Blindpair"
admin.site.site_title = "Blindpair"
admin.site.index_title = "Studies and their data"
