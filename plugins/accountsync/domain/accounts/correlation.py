"""Whose is an account that a target has? Sure, doubtful or nobody's: only a sure one is adopted.

Accounts and persons are matched by values: each rule of a target takes some out of an account and
one out of a person. All comparisons are of folded values (width, case, Unicode form).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accountsync.domain.accounts.account import RemoteAccount
from accountsync.domain.names.numbering import fold
from accountsync.domain.reasons import Kind, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`attribute`: of the account. `is_sure`: a match by it is enough."""

    attribute: str
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlated:
    """`persons`: the candidates, best rule first. `reasons`: why it is doubtful; none where it is
    sure. No person: nobody's, a foreign account."""

    account: RemoteAccount
    persons: Sequence[int]
    reasons: Sequence[Reason]


def account_key(account: RemoteAccount) -> str:
    """What tells a target's accounts apart."""
    return account.remote_id or account.identifier


def values(node: Any) -> Iterator[str]:
    """The folded texts of an attribute, also of one with several values (RFC 7643 §2.4)."""
    if isinstance(node, Mapping):
        yield from values(node.get("value"))
    elif isinstance(node, list | tuple):
        for one in node:
            yield from values(one)
    elif node is not None and (text := fold(str(node))):
        yield text


@dataclass(slots=True)
class Matcher:
    """Takes all accounts first, then all persons, then tells who is whose."""

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

    def add_person(self, person_id: int, found: Sequence[Any]) -> None:
        """`found`: the person's value for each rule; None where there is none."""
        for n, (rule, value, wanted) in enumerate(
            zip(self.rules, found, self._wanted, strict=True)
        ):
            texts = set(values(value))
            if rule.attribute == self.key:
                self._keys[person_id] = frozenset(texts)
            for text in texts:
                for account in wanted.get(text, ()):
                    self._matches[account][n].append(person_id)

    def correlated(self) -> list[Correlated]:
        """One verdict an account, in their order."""
        found = [self._verdict(n) for n in range(len(self.accounts))]
        times = Counter(person for one in found for person in one.persons)
        return [self._alone(one, times) for one in found]

    def _verdict(self, n: int) -> Correlated:
        by_rule = self._matches.get(n) or [[] for _ in self.rules]
        persons = list(dict.fromkeys(person for found in by_rule for person in found))
        reasons = list(self._doubts(n, by_rule, persons)) if persons else []
        return Correlated(account=self.accounts[n], persons=persons, reasons=reasons)

    def _doubts(
        self, n: int, by_rule: Sequence[Sequence[int]], persons: Sequence[int]
    ) -> Iterator[Reason]:
        deciding = next(i for i, found in enumerate(by_rule) if found)
        rule = self.rules[deciding]
        if len(persons) > 1:
            yield Reason.of(Kind.MATCHES_SEVERAL_PERSONS, persons=len(persons))
        if not rule.is_sure:
            yield Reason.of(Kind.MATCH_IS_NOT_SURE, attribute=rule.attribute)
        key = set(values(self.accounts[n].attributes.get(self.key)))
        if rule.attribute != self.key and key and not key & self._keys.get(persons[0], key):
            yield Reason.of(Kind.HAS_ANOTHER_KEY, attribute=self.key)

    def _alone(self, one: Correlated, times: Mapping[int, int]) -> Correlated:
        """Several accounts for one person: which is the right one, a human has to say."""
        if all(times[person] == 1 for person in one.persons):
            return one
        reasons = [*one.reasons, Reason.of(Kind.ANOTHER_ACCOUNT_MATCHES)]
        return Correlated(account=one.account, persons=one.persons, reasons=reasons)
