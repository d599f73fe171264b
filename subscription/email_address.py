"""Validation and normalization of contact email addresses (R8)."""

from subscription.refusals import RefusalCode, validation_error

_LONGEST = 254


def email_address(text: str) -> str:
    """Return the address as it is written to, with its domain in lowercase ASCII. No DNS lookup (R8).

    The local part must be ASCII, because not every mail server supports SMTPUTF8.
    """
    from email_validator import EmailNotValidError, validate_email  # lazy, as in `phone_number`

    if len(text) > _LONGEST:
        raise validation_error(RefusalCode.INVALID_EMAIL)
    try:
        address = validate_email(text, check_deliverability=False, allow_smtputf8=False).ascii_email
    except EmailNotValidError:
        address = None
    if address is None:
        raise validation_error(RefusalCode.INVALID_EMAIL)
    return address
