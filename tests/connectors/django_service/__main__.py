"""Serves it. /_store shows the tables past SCIM; DELETE /_store empties them."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

_HOST = "127.0.0.1"
_PORT, _TOKEN = int(sys.argv[1]), sys.argv[2]
_PACKAGE = "tests.connectors.django_service"
settings.configure(
    SECRET_KEY="tests",
    ALLOWED_HOSTS=[_HOST],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_scim", _PACKAGE],
    MIDDLEWARE=[f"{__name__}.with_token"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    AUTH_USER_MODEL="django_service.Person",
    LOGGING_CONFIG=None,
    SCIM_SERVICE_PROVIDER={
        "NETLOC": f"{_HOST}:{_PORT}",
        "SCHEME": "http",
        "AUTHENTICATION_SCHEMES": [{"type": "oauth2", "name": "token"}],
        "GROUP_MODEL": f"{_PACKAGE}.models.Team",
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402

from .models import Person, Team  # noqa: E402

_Handler = Callable[[HttpRequest], HttpResponse]


def with_token(handle: _Handler) -> _Handler:
    def handled(request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("Authorization") == f"Bearer {_TOKEN}"
        request.user = SimpleNamespace(is_anonymous=not sent, is_authenticated=sent)
        return handle(request)

    return handled


def _store(request: HttpRequest) -> HttpResponse:
    if request.method == "DELETE":
        Person.objects.all().delete()
        Team.objects.all().delete()
    users = [
        {
            "id": one.scim_id,
            "externalId": one.scim_external_id,
            "userName": one.username,
            "active": one.is_active,
            "emails": [{"value": one.email}] if one.email else [],
            "name": {"familyName": one.last_name, "givenName": one.first_name},
        }
        for one in Person.objects.all()
    ]
    groups = [
        {
            "displayName": team.name,
            "members": [{"value": one.scim_id} for one in team.user_set.all()],
        }
        for team in Team.objects.all()
    ]
    return JsonResponse({"users": users, "groups": groups})


urlpatterns = [path("_store", _store), path("", include("django_scim.urls", namespace="scim"))]


class _Server(WSGIServer):
    request_queue_size = 64


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """It would print every request."""


def main() -> None:
    """One request at a time, for the tables are in this process's memory."""
    from django.core.wsgi import get_wsgi_application

    call_command("migrate", run_syncdb=True, verbosity=0)
    application = get_wsgi_application()
    with make_server(
        _HOST, _PORT, application, server_class=_Server, handler_class=_Quiet
    ) as server:
        server.serve_forever()


main()
