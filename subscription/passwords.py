"""Which passwords an administrator may choose (R7). Nothing here keeps one or sends it anywhere."""

from itertools import pairwise

from subscription.refusals import Code, Problem


def password_problems(password: str) -> tuple[Problem, ...]:
    """Everything that is wrong with a password, at once; empty if it may be chosen (R7)."""
    found: list[str] = []
    if not 8 <= len(password) <= 40:
        found.append("must have 8 to 40 characters")
    if any(not "!" <= character <= "~" for character in password):
        found.append("must be of printable ASCII characters without spaces")
    if not any("A" <= character <= "Z" for character in password):
        found.append("must have at least one uppercase letter")
    if not any("a" <= character <= "z" for character in password):
        found.append("must have at least one lowercase letter")
    if not any("0" <= character <= "9" for character in password):
        found.append("must have at least one digit")
    if _has_consecutive_run(password):
        found.append("must not have three characters in a row that follow each other, as abc or 321 do")
    if any(a == b == c for a, b, c in zip(password, password[1:], password[2:], strict=False)):
        found.append("must not have the same character three times in a row")
    return tuple(Problem(field="password", code=Code.INVALID_PASSWORD, message=message) for message in found)


def _has_consecutive_run(password: str) -> bool:
    steps = [_step(a, b) for a, b in pairwise(password.lower())]
    return any(first == second != 0 for first, second in pairwise(steps))


def _step(first: str, second: str) -> int:
    """+1 or -1 when `second` follows or precedes `first` among the letters or among the digits, else 0."""
    same_kind = any(low <= first <= high and low <= second <= high for low, high in ("az", "09"))
    distance = ord(second) - ord(first)
    return distance if same_kind and abs(distance) == 1 else 0
