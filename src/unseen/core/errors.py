"""Typed errors with a message for people: what was got, what was expected, what to do.

Every error a user can cause derives from `UnseenError`; the command line prints its text as one line and exits with
`exit_code`. Anything else that escapes is a defect of ours.
"""


class UnseenError(Exception):
    """Base of all errors a user can cause. `exit_code` is the process's exit status."""

    exit_code = 1


class InputError(UnseenError):
    """A file or value the user gave is missing, unreadable or not what the job needs."""

    exit_code = 2


class FormatError(InputError):
    """A file exists but its bytes are not the format they claim to be."""


class ShapeError(InputError):
    """A tensor argument has the wrong shape, dtype or device."""


class NonFiniteError(InputError):
    """A tensor argument holds NaN or infinity."""


class MissingDependencyError(UnseenError):
    """An optional package, model file or device is needed and absent; the message says how to get it."""

    exit_code = 3


class ResourceError(UnseenError):
    """The machine refused: disk full, no permission, out of memory."""

    exit_code = 4
