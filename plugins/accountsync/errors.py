"""Every error of the package, sorted by what to do next.

AccountSyncError
├── ConfigurationError        fail now: somebody has to change the configuration or a Connection
│   └── InvalidRunRequestError  a run cannot do what it was asked: ask again, in another run
├── InvalidRequestError       an account request that cannot be taken: its sender has to change it
├── SafetyStopError           fail now: a human has to look before anything goes on
│   ├── DryRunError           refused at the wire: this run only shows what it would send
│   └── SilentSourceError     HR has brought nothing new for longer than is expected of it
├── TransientError            try again later; may say when (`retry_after`, seconds)
│   ├── IncompleteReadError   a read that proved incomplete: nothing of it was used
│   └── ThrottledError        the other side wants fewer calls: slow all of them down
├── TargetDownError           this target cannot be reached: stop calling it, burn no attempts
├── UnknownOutcomeError       it may have happened: probe before doing anything again
└── RecordError               about one person or one account; the others go on
    ├── InvalidPersonError    HR's row cannot be used
    ├── NeedsDataError        a mapping of ours is missing; continues once it is there
    ├── RejectedByTargetError the target understood and refused
    ├── AccountExistsError    the target already has such an account
    ├── AccountMissingError   the target has no such account
    ├── ForeignAccountError   the account carries another person's key by now: a human looks
    └── NeedsHumanError       somebody has to do it there by hand; the message says what

Messages name ids, targets and codes; never a person's name, address or a body.
"""

from __future__ import annotations


class AccountSyncError(Exception):
    """The root of the tree, which is never raised itself."""


class ConfigurationError(AccountSyncError):
    """The message has one line per problem, each with its path and a hint."""


class InvalidRunRequestError(ConfigurationError):
    """The `conf` of a run is wrong; other runs are not affected."""


class InvalidRequestError(AccountSyncError):
    """The message has one line per problem, each with its place in the request."""


class SafetyStopError(AccountSyncError):
    """Something looks so wrong that going on could lock people out."""


class DryRunError(SafetyStopError):
    """A dry run refused to send. `requests`: the shape of each request, with every value masked."""

    def __init__(self, message: str, *, requests: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.requests = requests or (message,)


class SilentSourceError(SafetyStopError):
    """Nothing was lost and nothing is held; the rows that were expected may never have left HR."""


class TransientError(AccountSyncError):
    """`retry_after`: seconds the other side asked us to wait, if it did."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class IncompleteReadError(TransientError):
    """Declared and received rows disagree, or rows moved while they were read (I2)."""


class ThrottledError(TransientError):
    """HTTP 429 or its like: nothing was done, and every caller has to slow down."""


class TargetDownError(AccountSyncError):
    """Nothing was sent: connection refused, no route, no token to be had."""


class UnknownOutcomeError(AccountSyncError):
    """The request left us, and its answer did not arrive or cannot be read (I9). `code`: the HTTP
    status, where one came."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class RecordError(AccountSyncError):
    """`code`: what the other side called it (HTTP status, body code), for grouping. `reason`: the
    message as a value of domain.reasons, where it is one of ours."""

    def __init__(
        self, message: str, *, code: str | None = None, reason: object | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class InvalidPersonError(RecordError):
    pass


class NeedsDataError(RecordError):
    pass


class RejectedByTargetError(RecordError):
    pass


class AccountExistsError(RecordError):
    pass


class AccountMissingError(RecordError):
    pass


class ForeignAccountError(RecordError):
    """Nothing was sent: what is known as the person's account shows another key (I18)."""


FOREIGN = (
    "the account carries another key by now, or is another one with this key: nothing was changed."
    " See there whose it is, and end this person's access by hand"
)
"""What a look at a known account may find, for ForeignAccountError."""


class NeedsHumanError(RecordError):
    pass
