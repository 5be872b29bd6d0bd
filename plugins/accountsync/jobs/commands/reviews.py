"""What waits for a human in Airflow: held plans and held feeds, shown and decided alike (I7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, RowMapping

from accountsync.domain.accounts.account import Operation
from accountsync.errors import SafetyStopError
from accountsync.jobs.persons import held_feeds
from accountsync.jobs.plans import held_plans
from accountsync.jobs.tasks.task_queue import Clock
from accountsync.settings import Settings
from accountsync.store.persons.held_feeds import HeldFeed

Kind = Literal["plan", "feed"]

_HEADS = (
    "target 目标", "operation 操作", "held 已拦截", "why 原因", "the guard 防护",
    "employee numbers 工号",
)  # fmt: skip
_OPERATIONS = {Operation.DISABLE: "disable 禁用", Operation.DELETE: "delete 删除"}
_GUARD = (
    (
        r"(\d+) of (\d+) active accounts, more than ([\d.]+) at once",
        r"\2 个启用账号中的 \1 个，一次超过 \3 个",
    ),
    (
        r"(\d+) of (\d+) active accounts, more than ([\d.]+) %",
        r"\2 个启用账号中的 \1 个，超过 \3 %",
    ),
    (r"(\d+) within 24 hours, more than ([\d.]+)", r"24 小时内 \1 个，超过 \2 个"),
    (r"(\d+) within 7 days, more than ([\d.]+)", r"7 天内 \1 个，超过 \2 个"),
    (r"not one row, where (\d+) persons are known", r"一行也没有，而已知 \1 人"),
    (
        r"(\d+) of (\d+) rows are newly rejected, allowed are ([\d.]+) %",
        r"\2 行中新拒收 \1 行，允许 \3 %",
    ),
    (
        r"(\d+) of (\d+) persons lose it, allowed are ([\d.]+) %",
        r"\2 人中有 \1 人该字段变空，允许 \3 %",
    ),
    (
        r"(\d+) of (\d+) persons who had left are back, allowed are ([\d.]+) %",
        r"\2 名离职人员中有 \1 人不再离职，允许 \3 %",
    ),
    (
        r"changes for (\d+) of (\d+) persons, allowed are ([\d.]+) %",
        r"\2 人中有 \1 人该字段改变，允许 \3 %",
    ),
)
"""What domain.plans.plan_guard and domain.persons.feed_guard say, and the same in Chinese."""
_MEANWHILE = {
    "full": (
        "Until then changes are read on, and who is missing is not looked for.",
        "在此之前继续读取变化，但不检查谁已不在 HR 中。",
    ),
    "incremental": (
        "Until then nothing newer of this source is merged, joiners and leavers neither; after a"
        " rejection HR's next change brings the same rows again until HR has corrected them.",
        "在此之前该数据源的新变化（包括入职和离职）都不会合并；拒绝后，HR 修正之前，"
        "下一次变化仍会带来同样的数据。",
    ),
}
_NOBODY_WAITS = ("Everything else of this source goes on.", "该数据源的其余读取照常进行。")
"""For windows and some persons, whom no other read waits for."""
_REASONS_SHOWN = 5
_REASONS = {
    "left": "left 已离职",
    "leave": "on leave 休假",
    "prehire": "not begun yet 未入职",
    "not_entitled": "rule no longer holds 不再符合授权规则",
    "retention": "retention is over 保留期已满",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a human is shown. `body`: Markdown, people by employee number. `reviewed`: the hash of
    what is decided about."""

    subject: str
    body: str
    reviewed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`reviewed`: the hash of what was shown."""

    approved: bool
    actor: str
    comment: str
    reviewed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What waits for a decision. `in_place_of`: numbers whose place it took undecided; while a
    question about one of them is open, nobody needs another."""

    kind: Kind
    number: int
    in_place_of: tuple[int, ...] = ()


def pending(*, engine: Engine) -> list[Pending]:
    plans = [
        Pending(kind="plan", number=plan["id"]) for plan in held_plans.list_held(engine=engine)
    ]
    return plans + [
        Pending(
            kind="feed",
            number=feed.id,
            in_place_of=held_feeds.superseded_by(engine=engine, feed=feed),
        )
        for feed in held_feeds.list_held(engine=engine)
    ]


def describe(*, engine: Engine, kind: Kind, number: int) -> Review:
    """Raises SafetyStopError where it waits no more."""
    if kind == "feed":
        return _of_feed(held_feeds.describe_held(engine=engine, feed=number))
    if not any(plan["id"] == number for plan in held_plans.list_held(engine=engine)):
        raise SafetyStopError(f"plan {number} does not wait for a decision any more")
    return _of_plan(held_plans.describe(engine=engine, plan=number))


def decide(
    *,
    engine: Engine,
    settings: Settings,
    kind: Kind,
    number: int,
    decision: Decision,
    clock: Clock,
) -> int:
    """Returns how many tasks or persons go on or are given up.

    Raises SafetyStopError, and changes nothing, where it is not what was shown any more.
    """
    said = {"actor": decision.actor, "comment": decision.comment}
    if kind == "plan":
        facts: dict[str, Any] = {"engine": engine, "plan": number, "now": clock(), **said}
        facts["reviewed"] = decision.reviewed
        if decision.approved:
            return held_plans.approve(settings=settings, **facts)
        return held_plans.reject(**facts)
    feed = held_feeds.describe_held(engine=engine, feed=number)
    if feed.fingerprint != decision.reviewed:
        raise SafetyStopError(f"feed {number} is not what was reviewed; look at it again")
    if not decision.approved:
        held_feeds.reject(engine=engine, feed=number, **said)
        return feed.fetched
    source = settings.source(feed.source)
    merged = held_feeds.approve(engine=engine, settings=source, feed=number, clock=clock, **said)
    return merged.counts.inserted + merged.counts.updated


def _of_plan(plan: RowMapping) -> Review:
    return Review(
        subject=f"Plan {plan['id']}: {plan['held']} account tasks are held",
        body="\n".join(_rows(plan["lines"], plan["id"])),
        reviewed=str(plan["held_hash"]),
    )


def _rows(lines: Mapping[str, Any], plan: int) -> Iterator[str]:
    yield f"| {' | '.join(_HEADS)} |"
    yield "|---|---|---|---|---|---|"
    for system, operations in lines.items():
        for operation, line in operations.items():
            if line["held"]:
                why = ", ".join(f"{_REASONS.get(r, r)}: {n}" for r, n in line["reasons"].items())
                yield (
                    f"| {system} | {_OPERATIONS.get(operation, operation)} | {line['held']} | {why}"
                    f" | {_guard(line['held_because'])}"
                    f" | {_people(line)} |"
                )
    again = f"`bin/accountsync plan reconsider {plan}`"
    yield (
        "\nApprove: exactly these go on, as far as they still hold. Reject: exactly these are"
        f" cancelled, and not planned again until something about them changes (or {again})."
    )
    yield (
        "\n批准（Approve）：仅放行上述任务中目前仍然成立的。拒绝（Reject）：仅取消上述任务，"
        f"相关情况变化之前不再计划（或执行 {again}）。"
    )


def _guard(said: str) -> str:
    """As it was said, and in Chinese what of it is known."""
    found = (
        (one.start(), one.expand(chinese)) for p, chinese in _GUARD for one in re.finditer(p, said)
    )
    return " ".join([said, "；".join(text for _, text in sorted(found))]).strip()


def _people(line: Mapping[str, Any]) -> str:
    more = line["tasks"] - len(line["examples"])
    return ", ".join(line["examples"]) + (f" and {more} more / 另有 {more} 人" if more else "")


def _of_feed(feed: HeldFeed) -> Review:
    return Review(
        subject=f"Feed {feed.id} of {feed.source} is held",
        body="\n".join(_feed_lines(feed)),
        reviewed=feed.fingerprint,
    )


def _feed_lines(feed: HeldFeed) -> Iterator[str]:
    yield from (f"- {_guard(reason)}" for reason in feed.stopped_by)
    yield f"\n{held_feeds.counts(feed)}. {_counts_in_chinese(feed)}\n"
    for name, change in feed.differences.get("fields", {}).items():
        examples = ", ".join(change["examples"])
        changed, emptied = change["changed"], change["emptied"]
        yield (
            f"- {name}: {changed} changed, {emptied} emptied"
            f" 改变 {changed} 人，变空 {emptied} 人; e.g. {examples}"
        )
        for old, new, persons in change.get("shifts", []):
            yield f"    - {old or '–'} → {new or '–'}: {persons}"
    for reject in feed.differences.get("rejected", [])[:_REASONS_SHOWN]:
        examples = ", ".join(reject["examples"]) or "–"
        yield f"- rejected 拒收 {reject['rows']}: {reject['reason']}; e.g. {examples}"
    english, chinese = _MEANWHILE.get(feed.mode, _NOBODY_WAITS)
    yield (
        "\nApprove: exactly this feed is merged. Reject: it is thrown away."
        f" {english} More of it: `bin/accountsync feed show {feed.id}`"
    )
    yield (
        f"\n批准（Approve）：仅合并这一批数据。拒绝（Reject）：丢弃这一批数据。{chinese}"
        f"详情：`bin/accountsync feed show {feed.id}`"
    )


def _counts_in_chinese(feed: HeldFeed) -> str:
    again = f"，另有以前拒收的 {feed.retried} 行" if feed.retried else ""
    return (
        f"共 {feed.fetched} 行{again}：新增 {feed.inserted}，更新 {feed.updated}，"
        f"不变 {feed.unchanged}，拒收 {feed.rejected}。"
    )
