"""What kind of error an attempt met: recorded with the attempt and with its task."""

from __future__ import annotations

from enum import StrEnum

from accountsync.errors import AccountSyncError


class ErrorKind(StrEnum):
    """Most kinds are the errors of a connector, under the names of their classes (see `errors`);
    the last ones are for what was no error of a call."""

    TRANSIENT = "TransientError"
    """It may work later: the task is tried again."""
    INCOMPLETE_READ = "IncompleteReadError"
    """A list of the target proved incomplete."""
    THROTTLED = "ThrottledError"
    """The target wants fewer calls; no attempt is burnt."""
    TARGET_DOWN = "TargetDownError"
    """The target cannot be reached; nothing was sent."""
    UNKNOWN_OUTCOME = "UnknownOutcomeError"
    """The call may have happened: a probe decides."""
    CONFIGURATION = "ConfigurationError"
    """The configuration or a Connection is wrong."""
    SAFETY_STOP = "SafetyStopError"
    """A human has to look before anything goes on."""
    DRY_RUN = "DryRunError"
    """A dry run refused to send it."""
    RECORD = "RecordError"
    """Something about this one account, of none of the kinds below."""
    INVALID_PERSON = "InvalidPersonError"
    """What HR says of the person cannot be used."""
    NEEDS_DATA = "NeedsDataError"
    """A mapping of ours, or an attribute that the target needs, is missing."""
    REJECTED_BY_TARGET = "RejectedByTargetError"
    """The target understood and refused."""
    ACCOUNT_EXISTS = "AccountExistsError"
    """The target has such an account already, and it is not surely the person's."""
    ACCOUNT_MISSING = "AccountMissingError"
    """The target has no such account."""
    FOREIGN_ACCOUNT = "ForeignAccountError"
    """The account carries another person's key by now; nothing was sent."""
    NEEDS_HUMAN = "NeedsHumanError"
    """The configuration says that a human does this by hand, with instructions."""

    MANUAL_OPERATION = "ManualOperation"
    """The target does not offer the operation: somebody has to do it there."""
    HELD_BY_OPERATOR = "HeldByOperator"
    """An operator keeps the task back with `task hold`, until `task release`. What the guard holds
    has no kind of error: it is released with its plan only (I7)."""
    DEPENDENCY_FAILED = "DependencyFailed"
    """A task that this one waited for failed for good (I12)."""
    NOT_AS_WANTED = "NotAsWanted"
    """The target answered that it was done, and shows that it is not (I18)."""
    KEY_NOT_CARRIED = "KeyNotCarried"
    """The target cannot carry a changed key: somebody has to change it there (I18)."""
    UNEXPECTED = "UnexpectedError"
    """An error that no connector should raise; its class is the code."""
    LEASE_EXPIRED = "LeaseExpired"
    """The worker died while the call was under way."""
    INTERRUPTED = "Interrupted"
    """The run was ended before the target had answered."""
    OTHER = "AccountSyncError"
    """An error of ours that no connector should raise."""


NOTHING_DONE = (
    ErrorKind.NEEDS_HUMAN,
    ErrorKind.MANUAL_OPERATION,
    ErrorKind.ACCOUNT_EXISTS,
    ErrorKind.FOREIGN_ACCOUNT,
    ErrorKind.KEY_NOT_CARRIED,
)
"""Of tasks that need a human, those whose call surely did nothing; others are looked up (I9)."""

_KNOWN = {kind.value: kind for kind in ErrorKind}


def kind_of(error: AccountSyncError | type[AccountSyncError]) -> ErrorKind:
    """The kind of the error's class, or of the nearest class above it that has one."""
    kind = error if isinstance(error, type) else type(error)
    return next(_KNOWN[base.__name__] for base in kind.__mro__ if base.__name__ in _KNOWN)
