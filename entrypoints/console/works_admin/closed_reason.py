"""The reason why NAVER WORKS Admin is closed for a subscription."""

from adapters.translation import Translator
from subscription.state import Access, State, Subscription


def closed_reason(state: Subscription, translator: Translator) -> str | None:
    """Return the reason, in the language of the page; None if NAVER WORKS Admin is open (table of states)."""
    if state.access is not Access.NONE:
        return None
    gettext = translator.gettext
    lost = gettext(
        "The ownership of the domain was verified elsewhere first. NAVER WORKS can be used again once the "
        "account is renamed."
    )
    return {
        State.TRIAL: lost,
        State.ACTIVE: lost,
        State.SUSPENDED: gettext(
            "The trial has ended and use is suspended. It resumes with the switch to a paid plan."
        ),
        State.CANCELED: gettext("The subscription has been canceled."),
        State.ERASED: gettext("The subscription has been canceled and all data deleted."),
    }.get(state.state, gettext("The subscription has not started yet."))
