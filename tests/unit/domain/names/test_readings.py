"""Readings of names are given once and kept for ever: what is read wrong stays wrong (I8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.names.readings import ascii_text, syllables
from accountsync.domain.names.surnames import SURNAMES
from accountsync.errors import NeedsDataError


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("单小明", "shan xiao ming"),
        ("仇英", "qiu ying"),
        ("解晓东", "xie xiao dong"),
        ("曾志伟", "zeng zhi wei"),
        ("查良镛", "zha liang yong"),
        ("区志强", "ou zhi qiang"),
        ("朴树", "piao shu"),
        ("任贤齐", "ren xian qi"),
        ("翟天", "zhai tian"),
        ("覃海洋", "qin hai yang"),
        ("盖叫天", "ge jiao tian"),
        ("乐嘉", "yue jia"),
        ("都明", "du ming"),
        ("薄云", "bo yun"),
        ("洗星海", "xian xing hai"),
        ("尉迟恭", "yuchi gong"),
        ("欧阳修", "ouyang xiu"),
        ("单于明", "chanyu ming"),
        ("万俟卨", "moqi xie"),
        ("长孙无忌", "zhangsun wu ji"),
        ("令狐冲", "linghu chong"),
        ("尉迟", "yuchi"),
        ("單小明", "shan xiao ming"),
        ("尉遲恭", "yuchi gong"),
        ("區小明", "ou xiao ming"),
    ],
)
def test_surnames_have_readings_of_their_own(name: str, reading: str) -> None:
    """PREDECESSOR fault 16."""
    assert " ".join(syllables(name)) == reading


def test_every_surname_of_the_table_is_read_as_it_says() -> None:
    for surname, reading in SURNAMES.items():
        assert syllables(f"{surname}伟") == ("".join(reading), "wei")
        assert all(s.isascii() and s.isalpha() for s in reading)
        assert len(reading) == len(surname)


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("吕布", "lv bu"),
        ("张女", "zhang nv"),
        ("耶律齐", "yelv qi"),
    ],
)
def test_u_umlaut_becomes_v(name: str, reading: str) -> None:
    assert " ".join(syllables(name)) == reading


@pytest.mark.parametrize("padding", [" ", "  ", "\u3000", "\u00a0", "\t"])
def test_spaces_that_pad_a_chinese_name_change_nothing(padding: str) -> None:
    assert syllables(f"单{padding}明") == ("shan", "ming")
    assert syllables(f"{padding}欧{padding}阳{padding}修{padding}") == ("ouyang", "xiu")


@pytest.mark.parametrize("dot", list("·•・‧∙⋅.．･"))
def test_parts_of_minority_names_are_no_surnames(dot: str) -> None:
    assert syllables(f"单增{dot}曲扎") == ("dan", "zeng", "qu", "zha")
    assert "".join(syllables(f"买买提{dot}艾力")) == "maimaitiaili"


@pytest.mark.parametrize("name", ["单小明.", "·单小明", "单小明 ·"])
def test_a_stray_dot_makes_no_minority_name(name: str) -> None:
    assert syllables(name) == ("shan", "xiao", "ming")


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("Łukasz Øster", "lukasz oster"),
        ("Jürgen Müller", "jurgen muller"),
        ("O'Neil", "o neil"),
        ("Jean-Luc Straße", "jean luc strasse"),
        ("Nguyễn Văn Đức", "nguyen van duc"),
        ("ＷＡＮＧ　Ｌｉ", "wang li"),
        ("李Ming", "li ming"),
        ("单David", "shan david"),
        ("单 David", "shan david"),
        ("David 单", "david shan"),
        ("Madonna", "madonna"),
        ("张伟2", "zhang wei 2"),
        ("Иван Петров", "ivan petrov"),
        ("Γιώργος", "giorgos"),
        ("たなか", "tanaka"),
        ("佐々木", "zuo zuo mu"),
        ("김철수", "gimcheolsu"),
    ],
)
def test_latin_mixed_and_other_scripts_become_ascii_words(name: str, reading: str) -> None:
    assert " ".join(syllables(name)) == reading


def test_a_single_character_is_read_as_a_surname() -> None:
    assert syllables("单") == ("shan",)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("张𠮷", "U+20BB7"),
        ("张\U000323af", "U+323AF"),
        ("张\ue000", "U+E000"),
        ("张\ufffd", "U+FFFD"),
        ("李?", "U+003F"),
        ("Jos? García", "U+003F"),
    ],
    ids=ascii,
)
def test_a_character_that_was_lost_or_has_no_reading_goes_to_a_human(name: str, code: str) -> None:
    """Rare characters are sent as private ones, U+FFFD or question marks by old systems."""
    with pytest.raises(NeedsDataError, match="without a known reading") as raised:
        syllables(name)
    assert code in str(raised.value)


@pytest.mark.parametrize("name", ["", "  ", "\u3000", "·", "--", "…", "\u200b", "。。"])
def test_a_name_without_anything_to_read_goes_to_a_human(name: str) -> None:
    with pytest.raises(NeedsDataError, match="no readable character"):
        syllables(name)


def test_messages_do_not_quote_the_name() -> None:
    """I15."""
    with pytest.raises(NeedsDataError) as raised:
        syllables("欧阳𠮷")
    assert "欧" not in str(raised.value)


@given(st.text(max_size=20))
def test_a_reading_is_lower_case_ascii_and_never_empty(name: str) -> None:
    try:
        found = syllables(name)
    except NeedsDataError:
        return
    assert found
    assert all(s and s.isascii() and s.isalnum() and s == s.lower() for s in found)


@pytest.mark.parametrize(
    ("text", "plain"), [("é", "e"), ("Ł", "L"), ("ß", "ss"), ("Ж", "Zh"), ("abc", "abc")]
)
def test_letters_of_any_script_have_an_ascii_form(text: str, plain: str) -> None:
    assert ascii_text(text) == plain
