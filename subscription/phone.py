"""Validation and normalization of company phone numbers (R8)."""

from subscription.refusals import RefusalCode, validation_error


def phone_number(text: str) -> str:
    """Return the number in E.164 format; without a country code it is a Korean number (R8)."""
    import phonenumbers  # lazy, because loading its tables takes longer than most CLI commands

    try:
        number = phonenumbers.parse(text, "KR")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise validation_error(RefusalCode.INVALID_PHONE)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
