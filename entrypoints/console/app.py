"""Application factory and routes of the console."""

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

from adapters.password_hashing import PasswordHashing
from adapters.postgres.pool import Pool
from entrypoints.console.access_control import Audience, Handler, SecurityHeadersMiddleware, protect
from entrypoints.console.oidc_client import OidcClient
from entrypoints.console.page_context import FAILURE_STEP_SECONDS, ConsoleApp, PageContext
from entrypoints.console.rendering import TemplateRenderer
from entrypoints.console.sessions import SessionKind, Sessions
from entrypoints.console.settings import ConsoleSettings
from entrypoints.console.urls import local_path
from entrypoints.console.views import (
    bulk,
    cancellation,
    catalogue,
    clock_controls,
    command_forms,
    contact_email,
    contract_changes,
    design,
    duplicate_check,
    export,
    invoices,
    my_product,
    operator_list,
    rename,
    request_complete,
    request_wizard,
    sign_in,
    subscription_activity,
    subscription_billing,
    subscription_detail,
    subscription_settings,
    what_if,
)
from entrypoints.console.works_admin import sign_in as admin_sign_in
from entrypoints.console.works_admin import views as works
from starter.client import SubscriptionClient
from starter.command_rate_limits import CommandRates
from starter.exports import SubscriptionExports

_A_YEAR = 365 * 24 * 3600


def create_console(
    client: SubscriptionClient,
    pool: Pool,
    exports: SubscriptionExports,
    settings: ConsoleSettings,
    command_rates: CommandRates | None = None,
    *,
    hashing: PasswordHashing | None = None,
    failure_step: float = FAILURE_STEP_SECONDS,
) -> Starlette:
    """Create the console. `pool` connects as `worksub_console`, for sessions and NAVER WORKS Admin."""
    console = ConsoleApp(
        client=client,
        pool=pool,
        exports=exports,
        settings=settings,
        sessions=Sessions(pool),
        pages=TemplateRenderer(),
        hashing=hashing or PasswordHashing(),
        oidc=OidcClient(settings.oidc) if settings.oidc else None,
        command_rates=command_rates or CommandRates(),
        failure_step=failure_step,
    )

    no_page = protect(console, PageContext.not_found, Audience.NONE, SessionKind.CONSOLE)

    async def missing(request: Request, _: Exception) -> Response:
        return await no_page(request)

    return Starlette(
        routes=[
            *_console_routes(console),
            *_subscription_routes(console),
            *_works_routes(console),
            Mount(
                "/static", _Static(directory=str(resources.files("entrypoints.console").joinpath("static")))
            ),
        ],
        middleware=[
            Middleware(SecurityHeadersMiddleware, secure=settings.secure),
            Middleware(GZipMiddleware, minimum_size=500),
            # Only the console's own host names are accepted, to prevent DNS rebinding.
            Middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False),
        ],
        exception_handlers={404: missing, 405: missing},
    )


def _console_routes(console: ConsoleApp) -> Sequence[BaseRoute]:
    def page(path: str, handler: Handler, whom: Audience, method: str = "GET") -> Route:
        return Route(path, protect(console, handler, whom, SessionKind.CONSOLE), methods=[method])

    local = [page("/design", design.design, Audience.PUBLIC)] if console.settings.developer_sign_in else []
    return [
        *local,
        page("/", my_product.home, Audience.SIGNED_IN),
        page("/subscriptions", my_product.my_product, Audience.CUSTOMERS),
        page("/operator", operator_list.all_subscriptions, Audience.OPERATORS),
        page("/operator/bulk", bulk.list_runs, Audience.OPERATORS),
        page("/operator/bulk", bulk.start_run, Audience.OPERATORS, "POST"),
        page("/operator/bulk/new", bulk.new_run, Audience.OPERATORS),
        page("/operator/bulk/new", bulk.dry_run, Audience.OPERATORS, "POST"),
        page("/operator/bulk/{run_id}", bulk.show_run, Audience.OPERATORS),
        page("/operator/bulk/{run_id}/{action}", bulk.control_run, Audience.OPERATORS, "POST"),
        page("/operator/catalogue", catalogue.catalogue, Audience.OPERATORS),
        page("/operator/catalogue", catalogue.preview, Audience.OPERATORS, "POST"),
        page("/sign-in", sign_in.sign_in, Audience.PUBLIC),
        page("/sign-in/developer", sign_in.developer_sign_in, Audience.PUBLIC, "POST"),
        page("/sign-in/issuer", sign_in.start_oidc, Audience.PUBLIC),
        page(sign_in.CALLBACK, sign_in.oidc_callback, Audience.PUBLIC),
        page(sign_in.SIGNED_OUT, sign_in.signed_out, Audience.PUBLIC),
        page("/sign-out", sign_in.sign_out, Audience.SIGNED_IN, "POST"),
        page("/language", choose_language, Audience.PUBLIC, "POST"),
        page("/request", request_wizard.begin, Audience.CUSTOMERS),
        page("/request/duplicates", duplicate_check.duplicates, Audience.CUSTOMERS, "POST"),
        page("/request/complete/{subscription_id}", request_complete.complete, Audience.CUSTOMERS),
        page(
            "/request/complete/{subscription_id}", request_complete.check_domain, Audience.CUSTOMERS, "POST"
        ),
        page("/request/{draft}/{step}", request_wizard.show, Audience.CUSTOMERS),
        page("/request/{draft}/{step}", request_wizard.take, Audience.CUSTOMERS, "POST"),
        page("/invoices", invoices.invoices, Audience.SIGNED_IN),
        page("/invoices.csv", invoices.all_as_csv, Audience.SIGNED_IN),
        page("/invoices/{number}.pdf", invoices.invoice_as_pdf, Audience.SIGNED_IN),
        page("/invoices/{number}", invoices.invoice, Audience.SIGNED_IN),
    ]


def _subscription_routes(console: ConsoleApp) -> Sequence[BaseRoute]:
    def page(path: str, handler: Handler, method: str = "GET") -> Route:
        endpoint = protect(console, handler, Audience.SIGNED_IN, SessionKind.CONSOLE)
        return Route(f"/subscriptions/{{subscription_id}}{path}", endpoint, methods=[method])

    moving = [page("/clock", clock_controls.advance, "POST")] if console.settings.developer_sign_in else []
    return [
        page("", subscription_detail.overview),
        page("/billing", subscription_billing.billing),
        page("/charges.csv", subscription_billing.charges_as_csv),
        page("/activity", subscription_activity.activity),
        page("/notices", subscription_activity.notices),
        page("/settings", subscription_settings.settings),
        page("/switch", contract_changes.get_switch),
        page("/switch", contract_changes.post_switch, "POST"),
        page("/renewal", contract_changes.get_renewal),
        page("/renewal", contract_changes.post_renewal, "POST"),
        page("/upgrade", contract_changes.get_upgrade),
        page("/upgrade", contract_changes.post_upgrade, "POST"),
        page("/what-if", what_if.what_if),
        page("/cancel", cancellation.get_cancel),
        page("/cancel", cancellation.post_cancel, "POST"),
        page("/withdraw", command_forms.withdraw, "POST"),
        page("/rename", rename.get_rename),
        page("/rename", rename.post_rename, "POST"),
        page("/domain", command_forms.check_domain, "POST"),
        page("/export", export.download, "POST"),
        page("/contact-email", contact_email.get_contact_email),
        page("/contact-email", contact_email.post_contact_email, "POST"),
        *moving,
    ]


def _works_routes(console: ConsoleApp) -> Sequence[BaseRoute]:
    def page(path: str, handler: Handler, whom: Audience = Audience.SIGNED_IN, method: str = "GET") -> Route:
        return Route(
            f"/works{path}", protect(console, handler, whom, SessionKind.WORKS_ADMIN), methods=[method]
        )

    return [
        page("", works.home),
        page("/sign-in", admin_sign_in.get_sign_in, Audience.PUBLIC),
        page("/sign-in", admin_sign_in.sign_in, Audience.PUBLIC, "POST"),
        page("/company", works.set_company, method="POST"),
        page("/export", works.export, method="POST"),
        page("/rename", rename.get_rename),
        page("/rename", rename.post_rename, method="POST"),
        page("/members", works.add_member, method="POST"),
        page("/members/remove", works.remove_member, method="POST"),
        page("/language", choose_language, Audience.PUBLIC, "POST"),
        page("/sign-out", admin_sign_in.sign_out, method="POST"),
    ]


async def choose_language(page: PageContext) -> Response:
    """Redirect to the page on which the language was chosen; the cookie is already set."""
    return RedirectResponse(local_path(page.form.get("next", "/")), status_code=303)


class _Static(StaticFiles):
    """Static files with immutable caching, because their URLs contain a hash of the contents."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response: Response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = f"public, max-age={_A_YEAR}, immutable"
        return response
