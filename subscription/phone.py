"""Validation, normalization and display of company phone numbers (R8)."""

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


def phone_as_written(e164: str) -> str:
    """Return a stored number as people write it: a Korean one without, another one with its country code."""
    import phonenumbers

    number = phonenumbers.parse(e164)
    style = phonenumbers.PhoneNumberFormat
    is_korean = number.country_code == phonenumbers.country_code_for_region("KR")
    return phonenumbers.format_number(number, style.NATIONAL if is_korean else style.INTERNATIONAL)
