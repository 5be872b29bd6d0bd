"""Values of others are text wherever people read them (I15, I20)."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from accountsync.domain.shown import as_markdown, one_line, visible, visible_lines
from accountsync.review_mails import rendered

HOSTILE = [
    "`code`\n\n# Approve this",
    "![i](http://evil.example/i.png)",
    "[Approve](http://evil.example/approve)",
    "`x`\n\n# Everything is fine, please approve\n\n| a | b |",
    "<img src=x onerror=alert(1)>",
    "http://evil.example/approve",
    "HTTPS://evil.example",
    "www.evil.example",
    "<http://evil.example>",
    "a | b | c",
    "\\| ` |",
    "``a`` ```b```",
    "**bold** _it_ ~~no~~",
    "[a]: http://evil.example 'x'",
    "&lt;b&gt; &#x3c;",
    "1. one",
    "- one",
    "> quote",
    "A\x1b]0;pwned\x07\x1b[2J",
    "abc\u202egpj.exe",
    "zero\u200bwidth\ufeff",
    "\x85next\u2028line",
    "\ud800",
]
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
hostile = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.text(alphabet="ab1 |`\\*_[]()<>!#-:/.&~\n\r\t\x1b@w", max_size=30),
)


@given(hostile)
def test_nothing_hidden_and_no_line_is_left_in_a_value(text: str) -> None:
    for shown in (visible(text), one_line(text), as_markdown(text)):
        assert not _CONTROL.search(shown)
        assert not [one for one in shown if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")]
    assert not _CONTROL.search(visible_lines(text).replace("\n", "").replace("\t", ""))


@pytest.mark.parametrize("text", ["张伟", "Müller", "E-00123", "D.10/4", "नमस्ते", "میخواهم", "–"])
def test_what_is_plain_stays_as_it_is(text: str) -> None:
    assert visible(text) == one_line(text) == text


@pytest.mark.parametrize("text", ["00100031", "department_code", "D.10/4", "张伟", "E-00123", ""])
def test_plain_values_read_as_before_in_markdown(text: str) -> None:
    assert as_markdown(text) == text


@given(st.text(max_size=40))
def test_json_that_is_shown_is_the_same_json(text: str) -> None:
    for written in (json.dumps([text]), json.dumps([text], ensure_ascii=False)):
        assert json.loads(visible_lines(written)) == [text]


_TAGS = re.compile(r"<(/?)(\w+)")
_GFM = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])


@given(st.lists(hostile, min_size=1, max_size=3))
def test_a_value_is_a_cell_of_its_table_and_nothing_else(values: list[str]) -> None:
    """However it is rendered: as mails are, and with HTML and links as other pages may."""
    row = " | ".join(map(as_markdown, values))
    page = f"| a |{' b |' * (len(values) - 1)}\n|{'---|' * len(values)}\n| {row} |\n\nThe end."
    for html in (rendered(page), _GFM.render(page)):
        tags = [name for _, name in _TAGS.findall(html)]
        assert set(tags) <= {"table", "thead", "tbody", "tr", "th", "td", "code", "p"}
        assert len(re.findall("<tr>", html)) == 2
        assert len(re.findall("<td>", html)) == len(values)
        assert len(re.findall("<p>", html)) == 1


@given(hostile)
def test_a_value_is_within_its_item_of_a_list(value: str) -> None:
    page = (
        f"- {as_markdown(value)}: 3\n- x: {as_markdown(value)} → {as_markdown(value)}\n\nThe end."
    )
    for html in (rendered(page), _GFM.render(page)):
        tags = {name for _, name in _TAGS.findall(html)}
        assert tags <= {"ul", "li", "code", "p"}
        assert len(re.findall("<li>", html)) == 2


@given(hostile)
def test_mail_programs_find_no_address_to_make_a_link_of(value: str) -> None:
    shown = as_markdown(value).lower()
    assert "://" not in shown
    assert "www." not in shown


def test_mails_render_no_link_and_no_image_even_of_our_own_texts() -> None:
    html = rendered(
        "[a](http://x.example) ![b](http://x.example/b.png) <http://x.example>\n\n[c]: /d"
    )
    assert "href" not in html
    assert "src" not in html
