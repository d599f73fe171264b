"""Password policy for administrators (R7). Neither stores nor sends passwords."""

from itertools import pairwise

from subscription.refusals import Problem, RefusalCode


def password_problems(password: str) -> tuple[Problem, ...]:
    """Return all problems of a password; empty if the password is allowed (R7)."""
    broken: list[str] = []
    if not 8 <= len(password) <= 40:
        broken.append("LENGTH")
    if any(not "!" <= character <= "~" for character in password):
        broken.append("CHARACTERS")
    if not any("A" <= character <= "Z" for character in password):
        broken.append("NO_UPPERCASE")
    if not any("a" <= character <= "z" for character in password):
        broken.append("NO_LOWERCASE")
    if not any("0" <= character <= "9" for character in password):
        broken.append("NO_DIGIT")
    if _has_consecutive_run(password):
        broken.append("CONSECUTIVE")
    if any(a == b == c for a, b, c in zip(password, password[1:], password[2:], strict=False)):
        broken.append("REPEATED")
    return tuple(Problem.of(RefusalCode.INVALID_PASSWORD, "password", reason=rule) for rule in broken)


def _has_consecutive_run(password: str) -> bool:
    steps = [_step(a, b) for a, b in pairwise(password.lower())]
    return any(first == second != 0 for first, second in pairwise(steps))


def _step(first: str, second: str) -> int:
    """Return +1 or -1 if `second` follows or precedes `first` in a-z or 0-9, else 0."""
    same_kind = any(low <= first <= high and low <= second <= high for low, high in ("az", "09"))
    distance = ord(second) - ord(first)
    return distance if same_kind and abs(distance) == 1 else 0
