"""Validation and normalization of company phone numbers (R8)."""

from subscription.refusals import RefusalCode, misfit


def phone_number(text: str) -> str:
    """The number as E.164; a Korean one when no country code is given (R8)."""
    import phonenumbers  # here, for its tables are read longer than most commands take

    try:
        number = phonenumbers.parse(text, "KR")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise misfit(RefusalCode.INVALID_PHONE)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
