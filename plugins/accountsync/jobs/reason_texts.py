"""Renders reasons in English and in Chinese, for mails, reviews, commands, errors and logs.

A reason becomes a sentence only here, and no rule reads such a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from accountsync.domain.durations import duration_text
from accountsync.domain.plans.risks import Risk
from accountsync.domain.reasons import Fact, Kind, Reason
from accountsync.domain.shown import as_markdown

TEXTS: Mapping[Kind, tuple[str, str]] = {
    Kind.MORE_AT_ONCE: (
        "{asked} of {active} active accounts, more than {allowed:.0f} at once",
        "{active} 个启用账号中的 {asked} 个，一次超过 {allowed:.0f} 个",
    ),
    Kind.MORE_THAN_SHARE: (
        "{asked} of {active} active accounts, more than {allowed:g} %",
        "{active} 个启用账号中的 {asked} 个，超过 {allowed:g} %",
    ),
    Kind.MORE_IN_24_HOURS: (
        "{asked} within 24 hours, more than {allowed:.0f}",
        "24 小时内 {asked} 个，超过 {allowed:.0f} 个",
    ),
    Kind.MORE_IN_7_DAYS: (
        "{asked} within 7 days, more than {allowed:.0f}",
        "7 天内 {asked} 个，超过 {allowed:.0f} 个",
    ),
    Kind.MORE_IN_30_DAYS: (
        "{asked} within 30 days, more than {allowed:.0f}",
        "30 天内 {asked} 个，超过 {allowed:.0f} 个",
    ),
    Kind.REJECTED_ONCE: (
        "rejected once, and asked about once more: who has left would keep the access",
        "已拒绝一次，现再询问一次：离职人员会保留访问权限",
    ),
    Kind.NOT_ONE_ROW: (
        "not one row, where {known} persons are known",
        "一行也没有，而已知 {known} 人",
    ),
    Kind.NEWLY_REJECTED: (
        "{affected} of {of} rows are newly rejected, allowed are {allowed:g} %",
        "{of} 行中新拒收 {affected} 行，允许 {allowed:g} %",
    ),
    Kind.FIELD_EMPTIED: (
        "{field}: {affected} of {of} persons lose it, allowed are {allowed:g} %",
        "{field}：{of} 人中有 {affected} 人该字段变空，允许 {allowed:g} %",
    ),
    Kind.FIELD_CHANGED: (
        "{field}: changes for {affected} of {of} persons, allowed are {allowed:g} %",
        "{field}：{of} 人中有 {affected} 人该字段改变，允许 {allowed:g} %",
    ),
    Kind.LEAVERS_BACK: (
        "{field}: {affected} of {of} persons who had left are back, allowed are {allowed:g} %",
        "{field}：{of} 名离职人员中有 {affected} 人不再离职，允许 {allowed:g} %",
    ),
    Kind.IS_MISSING: ("{field}: is missing", "{field}：缺失"),
    Kind.IS_TRUE_OR_FALSE: (
        "{field}: is true or false, expected a text",
        "{field}：是 true 或 false，应为文本",
    ),
    Kind.IS_A_FRACTION: (
        "{field}: is a number with a fraction, expected a text",
        "{field}：是小数，应为文本",
    ),
    Kind.IS_A_LIST: ("{field}: is a list, expected a text", "{field}：是列表，应为文本"),
    Kind.IS_AN_OBJECT: ("{field}: is an object, expected a text", "{field}：是对象，应为文本"),
    Kind.IS_NO_TEXT: ("{field}: is something else, expected a text", "{field}：不是文本"),
    Kind.IS_TOO_LONG: (
        "{field}: is longer than {allowed} characters",
        "{field}：超过 {allowed} 个字符",
    ),
    Kind.IS_NO_DATE: ("{field}: is not a date of the calendar", "{field}：日历中没有这个日期"),
    Kind.IS_IN_NO_KNOWN_FORMAT: (
        "{field}: is neither ISO 8601 nor one of the configured formats",
        "{field}：既不是 ISO 8601，也不是已配置的格式",
    ),
    Kind.IS_BEYOND_THE_CALENDAR: (
        "{field}: is before the year 1 or after 9999",
        "{field}：早于公元 1 年或晚于 9999 年",
    ),
    Kind.IS_NO_TIME_ZONE: (
        "{field}: is no time zone of the IANA database",
        "{field}：不是 IANA 数据库中的时区",
    ),
    Kind.IS_NO_NUMBER: (
        "{field}: is no number that can be kept",
        "{field}：不是能保存的数字",
    ),
    Kind.HAS_HALF_A_CHARACTER: (
        "{field}: holds half a character, or bytes that are none",
        "{field}：含半个字符，或不成字符的字节",
    ),
    Kind.IS_NO_JSON_VALUE: (
        "{field}: holds half a character, or bytes that are none, or a number that cannot be kept",
        "{field}：含半个字符、不成字符的字节，或不能保存的数字",
    ),
    Kind.HAS_A_NUL_CHARACTER: ("{field}: holds a NUL character", "{field}：含 NUL 字符"),
    Kind.IS_NESTED_TOO_DEEP: (
        "{field}: is nested too deep to be kept",
        "{field}：嵌套过深，不能保存",
    ),
    Kind.IS_NOT_AN_OBJECT: ("{field}: not an object", "{field}：不是对象"),
    Kind.IS_NO_JSON_LINE: (
        "{field}: line {line} of the file is no JSON",
        "{field}：文件第 {line} 行不是 JSON",
    ),
    Kind.HAS_A_NEWER_ROW: (
        "{field}: a newer row has it too, which is used",
        "{field}：较新的一行也有它，采用较新的一行",
    ),
    Kind.IS_ANOTHER_ROWS: ("{field}: belongs to another row", "{field}：属于另一行"),
    Kind.IS_ANOTHER_PERSONS: ("{field}: belongs to another person", "{field}：属于另一人"),
    Kind.IS_A_REQUESTED_PERSONS: (
        "{field}: belongs to another person, made by a request",
        "{field}：属于账号申请建立的另一人",
    ),
    Kind.IS_OF_ANOTHER_SOURCE: (
        "{field}: belongs to a person of {source}",
        "{field}：属于数据源 {source} 的一人",
    ),
    Kind.IS_A_LEAVERS: (
        "{field}: belongs to somebody who has left: the same person, or another one?"
        " `person cases`",
        "{field}：属于一名离职人员：是同一人还是另一人？`person cases`",
    ),
    Kind.REQUESTED_FOR_ANOTHER: (
        "{field}: was requested for a person of another name: the same person, or another one?"
        " `person cases`",
        "{field}：曾以另一姓名申请：是同一人还是另一人？`person cases`",
    ),
    Kind.IS_ANOTHER_NAMES: (
        "{field}: belongs to a person of another name: the same person, or another one?"
        " `person cases`",
        "{field}：属于另一姓名的人员：是同一人还是另一人？`person cases`",
    ),
    Kind.HAS_AN_ACTIVE_RECORD: (
        "{field}: HR has an active record with it, too, which is used",
        "{field}：HR 另有一条在职记录也有它，采用在职记录",
    ),
    Kind.NO_NEW_PERSON: (
        "{source}: no new or changed person for {seconds}: {last} {since} UTC, and one is"
        " expected every {expected_every} (`expected_every`). Nothing was lost. Look whether HR, or"
        " the copy of it that is read, still gets its changes; if they come more rarely, correct"
        " `expected_every`",
        "{source}：已 {seconds} 没有新增或变化的人员：{last} {since} UTC，预期每 {expected_every}"
        " 一次（`expected_every`）。没有数据丢失。请查看 HR 或所读副本是否仍在更新；"
        "若变化本来就更少，请修改 `expected_every`",
    ),
    Kind.NO_NEW_FILE: (
        "{source}: no file `{pattern}` in {path} for {seconds}: {last} {since} UTC, and one is"
        " expected every {expected_every} (`expected_every`). Nothing was lost. Look whether HR's"
        " export runs, and whether its files are complete (`complete`) and lie where they are"
        " looked for (`path`, `pattern`); if they come more rarely, correct `expected_every`",
        "{source}：已 {seconds} 没有文件 `{pattern}`（{path}）：{last} {since} UTC，"
        "预期每 {expected_every} 一个（`expected_every`）。没有数据丢失。请查看 HR 的导出是否运行，"
        "文件是否完整（`complete`）、位置是否正确（`path`、`pattern`）；"
        "若文件本来就更少，请修改 `expected_every`",
    ),
    Kind.MATCHES_SEVERAL_PERSONS: ("{persons} persons match", "有 {persons} 人匹配"),
    Kind.MATCH_IS_NOT_SURE: (
        "only {attribute} matches, which is not sure",
        "只有 {attribute} 匹配，不足以确定",
    ),
    Kind.HAS_ANOTHER_KEY: ("it carries another {attribute}", "该账号带有另一个 {attribute}"),
    Kind.ANOTHER_ACCOUNT_MATCHES: (
        "another account matches the same person",
        "另有账号与同一人匹配",
    ),
    Kind.PERSON_HAS_AN_ACCOUNT: ("the person has an account already", "此人已有账号"),
    Kind.NAME_IS_ANOTHERS: (
        "its {namespace} is another person's name",
        "其 {namespace} 是另一人的名称",
    ),
    Kind.DEPENDENCY_FAILED: ("{target} failed for good", "{target} 最终失败"),
    Kind.REASON_GONE: ("its reason has gone", "原因已不存在"),
    Kind.REPLACED: ("another task takes its place", "由另一任务代替"),
    Kind.TARGET_REMOVED: (
        "its target was taken out of the configuration",
        "目标系统已从配置中移除",
    ),
    Kind.PERSON_CHANGED: (
        "the person changed after the review began",
        "审核开始后人员信息有变化",
    ),
    Kind.REQUEST_CANCELLED: ("the account request was cancelled", "账号申请已取消"),
    Kind.ACCOUNT_FOUND: (
        "an account that is or may be theirs was found",
        "发现了属于或可能属于此人的账号",
    ),
    Kind.WORKER_DIED: (
        "the worker died while the call was under way",
        "调用进行中工作进程终止",
    ),
    Kind.COMMANDED: ("{command} by {actor}: {comment}", "{actor} 执行 {command}：{comment}"),
    Kind.REJECTED: ("rejected by {actor}: {comment}", "{actor} 已拒绝：{comment}"),
    Kind.ABSENT_FROM_HR: (
        "HR's last complete read lacks the person: nothing is given until HR has them again",
        "HR 最近一次完整读取中没有此人：在 HR 重新出现之前不授予任何权限",
    ),
    Kind.REHIRED_OR_CALLED_OFF: (
        "HR's leave date {leave_date} lies before the hire date {hire_date}: a rehire after an"
        " earlier employment, or a hire that was called off? If it is a rehire: `task retry`",
        "HR 的离职日期 {leave_date} 早于入职日期 {hire_date}：是再次入职，还是取消入职？"
        "若为再次入职，请执行 `task retry`",
    ),
    Kind.NOT_GIVEN_BY_HR: ("HR gives no {what}", "HR 未提供 {what}"),
    Kind.NOT_MAPPED: (
        "{what} {code!r} has no active mapping; import one",
        "{what} {code!r} 没有启用的映射，请导入",
    ),
    Kind.TEXT: ("{text}", "{text}"),
}
"""The English and the Chinese text of each kind. Facts that are no numbers, such as a field or a
target, are names that both languages use."""

RISKS: Mapping[str, tuple[str, str]] = {
    Risk.DISABLE: ("disables", "禁用"),
    Risk.DELETE: ("deletes", "删除"),
    Risk.CREATE: ("creates that no joiner explains", "没有入职人员对应的新建"),
    Risk.ENABLE: ("enables that no joiner explains", "没有入职人员对应的启用"),
    Risk.RENAME: ("renames", "改名"),
    Risk.LOST_MEMBERSHIP: ("lost memberships", "失去组或角色"),
    Risk.EMPTIED_ATTRIBUTE: ("emptied attributes", "属性变空"),
}
"""What the guard counts, in English and in Chinese."""

_NEVER = ("not one came since the first run,", "首次运行以来一直没有，")
_LAST = ("the last came", "上一次")


Show = Callable[[str], str]
"""What a text of somebody else, which a reason names, becomes where it is shown."""


def english(reason: Reason) -> str:
    return _shown(reason, 0)


def chinese(reason: Reason) -> str:
    return _shown(reason, 1)


def all_english(reasons: Iterable[Reason]) -> str:
    return "; ".join(map(english, reasons))


def both(reasons: Iterable[Reason], show: Show = str) -> str:
    """The reasons in English and then in Chinese. Text that somebody else wrote appears once."""
    listed = list(reasons)
    said = "; ".join(_shown(reason, 0, show) for reason in listed)
    own = [reason for reason in listed if reason.kind is not Kind.TEXT]
    return f"{said} {'；'.join(_shown(reason, 1, show) for reason in own)}".strip()


def both_in_markdown(reasons: Iterable[Reason]) -> str:
    """As `both`, within a line of Markdown: values of others are only text there."""
    return both(reasons, as_markdown)


def _shown(reason: Reason, language: int, show: Show = str) -> str:
    facts: dict[str, Fact] = dict(reason.facts)
    if reason.kind in (Kind.NO_NEW_PERSON, Kind.NO_NEW_FILE):
        facts |= _times(reason.facts, language)
    values = {name: show(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
    shown = TEXTS[reason.kind][language].format_map(values)
    if "risk" not in facts:  # of another guard, or from before 0.4.0
        return shown
    return f"{_counted(facts, language)}{(': ', '：')[language]}{shown}"


def _counted(facts: Mapping[str, Fact], language: int) -> str:
    """What the guard counts, and how much it is of the active accounts."""
    asked, active = float(facts["asked"]), float(facts["active"])
    percent = asked / active * 100 if active else 0
    shown = f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
    return RISKS[str(facts["risk"])][language] + (f" ({shown} %)" if active else "")


def _times(facts: Mapping[str, Fact], language: int) -> dict[str, Fact]:
    """The times of a silence as people write them. How long it lasts is given to the minute."""
    seconds = int(facts["seconds"])
    return {
        "seconds": duration_text(timedelta(seconds=seconds - seconds % 60)),
        "expected_every": duration_text(timedelta(seconds=int(facts["expected_every"]))),
        "since": f"{datetime.fromisoformat(str(facts['since'])):%F %H:%M}",
        "last": (_NEVER if facts["is_first"] else _LAST)[language],
    }
