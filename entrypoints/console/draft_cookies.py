"""Cookies of request drafts: a draft is stored in the browser alone, encrypted with a key of the session."""

from entrypoints.console import request_draft
from entrypoints.console.access_control import clear_cookie
from entrypoints.console.page_context import PageContext
from entrypoints.console.request_draft import Draft


def new_draft(page: PageContext) -> Draft:
    """Store a new draft, and delete the drafts beyond the limit."""
    assert page.session is not None
    for cookie in request_draft.excess_cookies(page.request.cookies, page.session.key):
        clear_cookie(page, cookie)
    draft = Draft(contact_email=page.session.email)
    keep_draft(page, draft)
    return draft


def draft_of(page: PageContext) -> Draft | None:
    """Return the draft in the URL of the page; None if it is no longer stored."""
    assert page.session is not None
    return request_draft.decrypt_draft(
        page.request.cookies, page.request.path_params["draft"], page.session.key
    )


def keep_draft(page: PageContext, draft: Draft) -> None:
    assert page.session is not None
    page.cookies[request_draft.cookie_of(draft.id)] = (
        request_draft.encrypt_draft(draft, page.session.key),
        request_draft.KEPT_SECONDS,
    )


def delete_draft(page: PageContext, draft: Draft) -> None:
    clear_cookie(page, request_draft.cookie_of(draft.id))
