"""Writes what a human reads who decides about a held plan or feed, in English and Chinese.

The texts are Markdown, and name people by employee number only (I15). Whatever is a value of HR or
of the configuration is text in them and nothing else (`domain.shown`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from accountsync.domain.plans.entitlement import NOT_VALID
from accountsync.domain.reasons import from_document
from accountsync.domain.shown import as_markdown
from accountsync.jobs.persons import held_feeds
from accountsync.jobs.reason_texts import both_in_markdown
from accountsync.store.persons.held_feeds import HeldFeed
from accountsync.store.plans.held_persons import HeldPersons
from accountsync.store.plans.plan_view import PlanLine

_HEADS = (
    "target 目标", "operation 操作", "held 已拦截", "why 原因", "the guard 防护",
    "employee numbers 工号",
)  # fmt: skip
_OPERATIONS = {
    "create": "create 新建",
    "update": "update 更新",
    "rename": "rename 改名",
    "enable": "enable 启用",
    "disable": "disable 禁用",
    "delete": "delete 删除",
}
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
"""For reads of windows and of some persons: no other read waits for them."""
_REJECTS_SHOWN = 5
_RULES = {
    "active": "active 在职",
    "left": "left 已离职",
    "leave": "on leave 休假",
    "prehire": "not begun yet 未入职",
    "gone_from_hr": "gone from HR HR 中已无此人",
    "status_not_valid": "leaver: status no longer valid 离职：状态不再有效",
    "not_entitled": "mover: rule no longer holds 调动：不再符合授权规则",
    "retention": "retention is over 保留期已满",
}


def of_plan(plan: int, lines: Sequence[PlanLine], persons: Sequence[HeldPersons] = ()) -> str:
    """`lines`: what the plan still holds; `persons`: whom, to say of how many leavers HR knows a
    last day."""
    first = [line for line in lines if not line.is_asked_again]
    again = [line for line in lines if line.is_asked_again]
    parts = [_first_time(plan, first, persons)] if first else []
    parts += [_once_more(again)] if again else []
    parts += [_of_both(plan)] if first and again else []
    return "\n".join(chain.from_iterable(parts))


def of_feed(feed: HeldFeed) -> str:
    return "\n".join(_feed_lines(feed))


def _first_time(
    plan: int, lines: Sequence[PlanLine], persons: Sequence[HeldPersons]
) -> Iterator[str]:
    yield f"| {' | '.join(_HEADS)} |"
    yield "|---|---|---|---|---|---|"
    yield from (_row(line, persons) for line in lines)
    again = f"`bin/accountsync plan reconsider {plan}`"
    yield (
        "\nApprove: exactly these go on, as far as they still hold. Reject: exactly these are"
        f" cancelled, and not planned again until something about them changes (or {again});"
        " those who left by a last day, or are gone from HR, are asked about once more."
    )
    yield (
        "\n批准（Approve）：仅放行上述任务中目前仍然成立的。拒绝（Reject）：仅取消上述任务，"
        f"相关情况变化之前不再计划（或执行 {again}）；"
        "其中最后工作日已过或 HR 中已无的人员会再询问一次。"
    )


def _once_more(lines: Sequence[PlanLine]) -> Iterator[str]:
    """The second question about leavers, whose disables were rejected once (I17)."""
    yield (
        "\nThese tasks end the access of people who **have left**. They were rejected once, and are"
        " asked about once more.\n"
    )
    yield "这些任务终止**已离职**人员的访问权限。它们已被拒绝一次，现再询问一次。\n"
    for line in lines:
        operation = _OPERATIONS.get(line.operation) or as_markdown(line.operation)
        why = ", ".join(_rules(line, ()))
        yield f"- {as_markdown(line.target)}, {operation}: {line.held} ({why}); {_people(line)}"
    yield (
        "\nApprove: their access ends. Reject: they keep it, which every plan, `bin/accountsync"
        " status` and a mail a day say until it is taken back."
    )
    yield (
        "\n批准（Approve）：终止其访问权限。拒绝（Reject）：保留其访问权限；在撤销之前，每次计划、"
        "`bin/accountsync status` 和每日邮件都会提示。"
    )


def _of_both(plan: int) -> Iterator[str]:
    part = f"`bin/accountsync plan approve {plan} --reason …`"
    yield f"\nThe answer is about both, the table and the list; about a part of them: {part}."
    yield f"\n答复同时适用于上面的表格和列表；只处理其中一部分：{part}。"


def _row(line: PlanLine, persons: Sequence[HeldPersons]) -> str:
    operation = _OPERATIONS.get(line.operation) or as_markdown(line.operation)
    why, guard = ", ".join(_rules(line, persons)), both_in_markdown(line.held_because)
    cells = (as_markdown(line.target), operation, line.held, why, guard, _people(line))
    return f"| {' | '.join(map(str, cells))} |"


def _rules(line: PlanLine, persons: Sequence[HeldPersons]) -> Iterator[str]:
    for rule, tasks in line.reasons.items():
        last_day = sum(
            held.with_last_day
            for held in persons
            if (held.target, held.operation, held.reason) == (line.target, line.operation, rule)
        )
        told = last_day and rule == NOT_VALID
        known = f" ({last_day} with a last day 其中 {last_day} 人有最后工作日)" if told else ""
        yield f"{_RULES.get(rule) or as_markdown(rule)}: {tasks}{known}"


def _people(line: PlanLine) -> str:
    more = line.tasks - len(line.examples)
    listed = _listed(line.examples)
    return listed + (f" and {more} more / 另有 {more} 人" if more else "")


def _listed(values: Sequence[str]) -> str:
    return ", ".join(map(as_markdown, values))


def _feed_lines(feed: HeldFeed) -> Iterator[str]:
    yield from (f"- {both_in_markdown([reason])}" for reason in feed.stopped_by)
    yield f"\n{held_feeds.counts(feed)}. {_counts_in_chinese(feed)}\n"
    for name, change in feed.differences.get("fields", {}).items():
        yield from _field_lines(name, change)
    for reject in feed.differences.get("rejected", [])[:_REJECTS_SHOWN]:
        examples = _listed(reject["examples"]) or "–"
        why = both_in_markdown([from_document(reject["reason"])])
        yield f"- rejected 拒收 {reject['rows']}: {why}; e.g. {examples}"
    english, chinese = _MEANWHILE.get(feed.mode, _NOBODY_WAITS)
    yield (
        "\nApprove: exactly this feed is merged. Reject: it is thrown away."
        f" {english} More of it: `bin/accountsync feed show {feed.id}`"
    )
    yield (
        f"\n批准（Approve）：仅合并这一批数据。拒绝（Reject）：丢弃这一批数据。{chinese}"
        f"详情：`bin/accountsync feed show {feed.id}`"
    )


def _field_lines(name: str, change: Mapping[str, Any]) -> Iterator[str]:
    changed, emptied = change["changed"], change["emptied"]
    yield (
        f"- {as_markdown(name)}: {changed} changed, {emptied} emptied"
        f" 改变 {changed} 人，变空 {emptied} 人; e.g. {_listed(change['examples'])}"
    )
    for old, new, persons in change.get("shifts", []):
        yield f"    - {as_markdown(old or '–')} → {as_markdown(new or '–')}: {persons}"


def _counts_in_chinese(feed: HeldFeed) -> str:
    again = f"，另有以前拒收的 {feed.retried} 行" if feed.retried else ""
    return (
        f"共 {feed.fetched} 行{again}：新增 {feed.inserted}，更新 {feed.updated}，"
        f"不变 {feed.unchanged}，拒收 {feed.rejected}。"
    )
