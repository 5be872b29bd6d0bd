"""Whose an account of a target is: surely somebody's, doubtful, or nobody's. Only a sure one is
adopted.

Accounts and persons are matched by values: each rule of a target takes values from an account
and one from a person. All comparisons are of folded values (width, case, Unicode form).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.names.numbering import fold
from accountsync.domain.reasons import Kind, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`attribute` is one of the account. `is_sure`: a match by this rule is enough."""

    attribute: str
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlated:
    """An account and the persons that it may belong to.

    `persons`: the candidates, those of the best rule first; none: the account is foreign.
    `reasons`: why it is doubtful; none: it is sure.
    """

    account: RemoteAccount
    persons: Sequence[int]
    reasons: Sequence[Reason]


def account_key(account: RemoteAccount) -> str:
    """The value that tells a target's accounts apart."""
    return account.remote_id or account.identifier


def values(node: object) -> Iterator[str]:
    """The folded texts of an attribute, also of member with several values (RFC 7643 §2.4)."""
    if isinstance(node, Mapping):
        yield from values(node.get("value"))
    elif isinstance(node, list | tuple):
        for member in node:
            yield from values(member)
    elif node is not None and (text := fold(str(node))):
        yield text


@dataclass(slots=True)
class Matcher:
    """Takes all accounts first, then all persons, and then says which belong together.

    `_wanted`: by rule, an attribute's value → the places of the accounts that have it. `_matches`:
    an account's place → by rule, the persons who match. `_keys`: a person → the key's values.
    """

    rules: Sequence[Rule]
    key: str
    accounts: Sequence[RemoteAccount]
    _wanted: list[dict[str, list[int]]] = field(init=False)
    _matches: dict[int, list[list[int]]] = field(init=False)
    _keys: dict[int, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        self._wanted = [defaultdict(list) for _ in self.rules]
        self._matches = defaultdict(lambda: [[] for _ in self.rules])
        self._keys = {}
        for n, account in enumerate(self.accounts):
            for rule, wanted in zip(self.rules, self._wanted, strict=True):
                for value in set(values(account.attributes.get(rule.attribute))):
                    wanted[value].append(n)

    def add_person(self, person_id: int, person_values: Sequence[object]) -> None:
        """`person_values`: the person's value for each rule; None where there is none."""
        for n, (rule, value, wanted) in enumerate(
            zip(self.rules, person_values, self._wanted, strict=True)
        ):
            texts = set(values(value))
            if rule.attribute == self.key:
                self._keys[person_id] = frozenset(texts)
            for text in texts:
                for account in wanted.get(text, ()):
                    self._matches[account][n].append(person_id)

    def correlated(self) -> list[Correlated]:
        """One verdict for each account, in their order."""
        verdicts = [self._verdict(n) for n in range(len(self.accounts))]
        matches = Counter(person for verdict in verdicts for person in verdict.persons)
        return [self._alone(verdict, matches) for verdict in verdicts]

    def _verdict(self, n: int) -> Correlated:
        by_rule = self._matches.get(n) or [[] for _ in self.rules]
        persons = list(dict.fromkeys(person for matches in by_rule for person in matches))
        reasons = list(self._doubts(n, by_rule, persons)) if persons else []
        return Correlated(account=self.accounts[n], persons=persons, reasons=reasons)

    def _doubts(
        self, n: int, by_rule: Sequence[Sequence[int]], persons: Sequence[int]
    ) -> Iterator[Reason]:
        deciding = next(i for i, matches in enumerate(by_rule) if matches)
        rule = self.rules[deciding]
        if len(persons) > 1:
            yield Reason.of(Kind.MATCHES_SEVERAL_PERSONS, persons=len(persons))
        if not rule.is_sure:
            yield Reason.of(Kind.MATCH_IS_NOT_SURE, attribute=rule.attribute)
        key = set(values(self.accounts[n].attributes.get(self.key)))
        if rule.attribute != self.key and key and not key & self._keys.get(persons[0], key):
            yield Reason.of(Kind.HAS_ANOTHER_KEY, attribute=self.key)

    def _alone(self, verdict: Correlated, matches: Mapping[int, int]) -> Correlated:
        """Doubts an account whose person matches several: a human has to say which is right."""
        if all(matches[person] == 1 for person in verdict.persons):
            return verdict
        reasons = [*verdict.reasons, Reason.of(Kind.ANOTHER_ACCOUNT_MATCHES)]
        return replace(verdict, reasons=reasons)
