"""The console as an application, to be mounted at `/`."""

from collections.abc import Sequence
from importlib import resources

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from activities.database import Pool
from starter.client import SubscriptionClient
from starter.command_rates import CommandRates
from starter.console import (
    cancellation,
    clock,
    commanding,
    contract_changes,
    detail,
    my_product,
    requesting,
    signing_in,
)
from starter.console.addresses import local_path
from starter.console.guarding import For, Handler, SafeHeaders, guarded
from starter.console.oidc import OidcClient
from starter.console.pages import Pages
from starter.console.sessions import Realm, Sessions
from starter.console.settings import ConsoleSettings
from starter.console.visit import Console, Visit
from starter.console.works import pages as works
from starter.password_hashing import PasswordHashing

_A_YEAR = 365 * 24 * 3600


def create_console(
    client: SubscriptionClient,
    pool: Pool,
    settings: ConsoleSettings,
    command_rates: CommandRates | None = None,
    *,
    hashing: PasswordHashing | None = None,
) -> Starlette:
    """`pool` acts as `worksub_console`: it keeps who is signed in, and what NAVER WORKS Admin writes."""
    console = Console(
        client=client,
        pool=pool,
        settings=settings,
        sessions=Sessions(pool),
        pages=Pages(),
        hashing=hashing or PasswordHashing(),
        oidc=OidcClient(settings.oidc) if settings.oidc else None,
        command_rates=command_rates or CommandRates(),
    )

    no_page = guarded(console, Visit.gone, For.NOBODY, Realm.CONSOLE)

    async def missing(request: Request, _: Exception) -> Response:
        return await no_page(request)

    return Starlette(
        routes=[
            *_console_routes(console),
            *_subscription_routes(console),
            *_works_routes(console),
            Mount("/static", _Static(directory=str(resources.files("starter.console").joinpath("static")))),
        ],
        middleware=[
            Middleware(SafeHeaders, secure=settings.secure),
            Middleware(GZipMiddleware, minimum_size=500),
            # A site whose name is made to stand for this server must not be taken for the console.
            Middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False),
        ],
        exception_handlers={404: missing, 405: missing},
    )


def _console_routes(console: Console) -> Sequence[BaseRoute]:
    def page(path: str, handler: Handler, whom: For, method: str = "GET") -> Route:
        return Route(path, guarded(console, handler, whom, Realm.CONSOLE), methods=[method])

    return [
        page("/", my_product.home, For.SIGNED_IN),
        page("/subscriptions", my_product.my_product, For.CUSTOMERS),
        page("/operator", my_product.all_subscriptions, For.OPERATORS),
        page("/sign-in", signing_in.sign_in, For.ANYBODY),
        page("/sign-in/developer", signing_in.as_developer, For.ANYBODY, "POST"),
        page("/sign-in/issuer", signing_in.to_issuer, For.ANYBODY),
        page(signing_in.CALLBACK, signing_in.from_issuer, For.ANYBODY),
        page(signing_in.SIGNED_OUT, signing_in.signed_out, For.ANYBODY),
        page("/sign-out", signing_in.sign_out, For.SIGNED_IN, "POST"),
        page("/language", choose_language, For.ANYBODY, "POST"),
        page("/request", requesting.begin, For.CUSTOMERS),
        page("/request/duplicates", requesting.duplicates, For.CUSTOMERS, "POST"),
        page("/request/complete/{subscription_id}", requesting.complete, For.CUSTOMERS),
        page("/request/{draft}/{step}", requesting.show, For.CUSTOMERS),
        page("/request/{draft}/{step}", requesting.take, For.CUSTOMERS, "POST"),
        page("/invoices/{number}", detail.invoice, For.SIGNED_IN),
    ]


def _subscription_routes(console: Console) -> Sequence[BaseRoute]:
    def page(path: str, handler: Handler, method: str = "GET") -> Route:
        endpoint = guarded(console, handler, For.SIGNED_IN, Realm.CONSOLE)
        return Route(f"/subscriptions/{{subscription_id}}{path}", endpoint, methods=[method])

    moving = [page("/clock", clock.advance, "POST")] if console.settings.embedded else []
    return [
        page("", detail.detail),
        page("/switch", contract_changes.show_switch),
        page("/switch", contract_changes.take_switch, "POST"),
        page("/renewal", contract_changes.show_renewal),
        page("/renewal", contract_changes.take_renewal, "POST"),
        page("/upgrade", contract_changes.show_upgrade),
        page("/upgrade", contract_changes.take_upgrade, "POST"),
        page("/cancel", cancellation.show_cancel),
        page("/cancel", cancellation.take_cancel, "POST"),
        page("/withdraw", commanding.withdraw, "POST"),
        page("/rename", commanding.show_rename),
        page("/rename", commanding.take_rename, "POST"),
        page("/domain", commanding.check_domain, "POST"),
        *moving,
    ]


def _works_routes(console: Console) -> Sequence[BaseRoute]:
    def page(path: str, handler: Handler, whom: For = For.SIGNED_IN, method: str = "GET") -> Route:
        return Route(f"/works{path}", guarded(console, handler, whom, Realm.WORKS_ADMIN), methods=[method])

    return [
        page("", works.home),
        page("/sign-in", works.show_sign_in, For.ANYBODY),
        page("/sign-in", works.sign_in, For.ANYBODY, "POST"),
        page("/company", works.set_company, method="POST"),
        page("/members", works.add_member, method="POST"),
        page("/members/remove", works.remove_member, method="POST"),
        page("/language", choose_language, For.ANYBODY, "POST"),
        page("/sign-out", works.sign_out, method="POST"),
    ]


async def choose_language(visit: Visit) -> Response:
    """Back to the page, in the language that its form has chosen."""
    return RedirectResponse(local_path(visit.form.get("next", "/")), status_code=303)


class _Static(StaticFiles):
    """Files whose addresses change with their contents."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response: Response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = f"public, max-age={_A_YEAR}, immutable"
        return response
