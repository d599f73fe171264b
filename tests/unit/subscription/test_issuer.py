"""Issuers of commands: names that a command accepts, and what customers see of operators."""

import pytest

from subscription.issuer import MAX_NAME, SYSTEM, Channel, Issuer

CUSTOMERS = (Channel.CONSOLE, Channel.API)


def test_a_name_is_accepted_by_every_command() -> None:
    assert Issuer.of(Channel.API, "billing\nsystem\u202e") == Issuer(channel=Channel.API, by="billingsystem")
    assert Issuer.of(Channel.API, "\x00") == Issuer(channel=Channel.API)
    assert Issuer.of(Channel.API, "x" * 999).by == "x" * MAX_NAME


def test_the_name_in_a_command_precedes_that_of_its_channel() -> None:
    key = Issuer(channel=Channel.API, by="billing system")
    assert key.naming("kim").by == "kim, billing system"
    assert key.naming("billing system").by == key.naming(None).by == "billing system"
    assert Issuer(channel=Channel.CLI).naming("kim") == Issuer(channel=Channel.CLI, by="kim")
    assert len(key.naming("x" * MAX_NAME).by or "") == MAX_NAME


@pytest.mark.parametrize("channel", Channel)
def test_customers_see_no_names_of_operators(channel: Channel) -> None:
    shown = Issuer(channel=channel, by="kim").shown_to_customer()
    if channel in CUSTOMERS:
        assert shown == Issuer(channel=channel, by="kim")
    elif channel is not Channel.SYSTEM:
        assert shown == Issuer(channel=Channel.OPERATOR)
    assert SYSTEM.shown_to_customer() == SYSTEM
