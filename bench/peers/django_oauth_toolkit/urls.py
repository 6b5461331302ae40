# mypy: disable-error-code="import-not-found"
"""Where django-oauth-toolkit's endpoints are."""

from django.urls import include, path

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
