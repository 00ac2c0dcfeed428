from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from config.health import healthz, readyz
from config.metrics import metrics


def favicon(request: HttpRequest) -> HttpResponseRedirect:
    """Browsers ask for this address whatever the page says."""
    return HttpResponseRedirect(static("survey/img/icon.svg"))


urlpatterns = [
    # Raters come by their study's address; whoever opens the bare host is a researcher.
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("favicon.ico", favicon),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    # Before the survey's own, which end with an answer to every wrong address.
    path("api/v1/", include("generation.api")),
    path("api/v1/", include("survey.api.urls")),
    path("", include("survey.urls")),
]
