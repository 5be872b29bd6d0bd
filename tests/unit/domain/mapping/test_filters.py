"""What mappings make of names: once given, a wrong one stays (I8)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountsync.domain.mapping.values import compile_value
from accountsync.domain.names.readings import Readings
from accountsync.domain.names.surnames import COMPOUND_SURNAMES, OTHER_READINGS, SURNAMES
from accountsync.errors import ConfigurationError, InvalidPersonError, NeedsDataError


def filtered(name: str, filters: str, **known: Any) -> Any:
    person = {"full_name": name, "employee_number": "E1", **known}
    value = compile_value(f"{{{{ person.full_name | {filters} }}}}", roots={"person"})
    return value({"person": person})


@pytest.mark.parametrize(
    ("name", "filters", "value"),
    [
        ("单小明", "pinyin", "shanxiaoming"),
        ("单小明", "pinyin_initial", "s"),
        ("欧阳小明", "pinyin_initial", "o"),
        ("欧阳小明", "pinyin_initials", "oyxm"),
        ("欧阳小明", "surname", "欧阳"),
        ("欧阳小明", "given_name", "小明"),
        ("欧阳小明", "surname_pinyin", "ouyang"),
        ("欧阳小明", "given_name_pinyin", "xiaoming"),
        ("欧阳小明", "given_name_initials", "xm"),
        ("王单", "surname_pinyin", "wang"),
        ("王单", "given_name_pinyin", "dan"),
        ("公冶长", "surname", "公冶"),
        ("公冶长", "pinyin", "gongyechang"),
        ("歐陽修", "surname", "歐陽"),
        ("单", "surname", "单"),
        ("单", "given_name", ""),
        ("买买提·艾力", "surname", "买买提·艾力"),
        ("买买提·艾力", "given_name", ""),
        ("买买提·艾力", "surname_pinyin", ""),
        ("买买提·艾力", "given_name_pinyin", "maimaitiaili"),
        ("买买提·艾力", "pinyin_initials", "mmtal"),
        ("李Ming", "surname", "李"),
        ("李Ming", "given_name", "Ming"),
        ("David 单", "surname", "单"),
        ("David 单", "given_name", "David"),
        ("Jürgen Müller", "surname", "Müller"),
        ("Jürgen Müller", "given_name", "Jürgen"),
        ("Müller, Jürgen", "surname", "Müller"),
        ("Müller, Jürgen", "given_name_pinyin", "jurgen"),
        ("Jean-Luc Straße", "pinyin_initials", "jls"),
        ("Madonna", "surname", "Madonna"),
        ("Madonna", "given_name", ""),
        ("Иван Петров", "surname_pinyin", "petrov"),
        ("Иван Петров", "transliterate", "Ivan Petrov"),
        ("吕布", "pinyin", "lvbu"),
        ("吕布", "pinyin('yu')", "lyubu"),
        ("吕布", "pinyin(umlaut='u')", "lubu"),
        ("张女", "given_name_pinyin('yu')", "nyu"),
        ("张略", "pinyin('yu')", "zhanglue"),
        ("曲绿", "pinyin('yu')", "qulyu"),
        ("Jürgen O'Neil", "email_local", "jurgen.oneil"),
        ("  Müller,  Jürgen ", "email_local", "muller.jurgen"),
        ("ＷＡＮＧ", "fold", "wang"),
    ],
)
def test_what_a_filter_makes_of_a_name(name: str, filters: str, value: str) -> None:
    assert filtered(name, filters) == value


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("王晟", "wangsheng"),
        ("晟明", "chengming"),
        ("王长林", "wangchanglin"),
        ("王朝伟", "wangchaowei"),
        ("王琢", "wangzhuo"),
        ("高柏林", "gaobailin"),
        ("巴特勒", "batele"),
        ("张重阳", "zhangchongyang"),
    ],
)
def test_given_names_have_readings_of_their_own_too(name: str, reading: str) -> None:
    assert filtered(name, "pinyin") == reading


@pytest.mark.parametrize("compound", sorted(COMPOUND_SURNAMES))
def test_compound_surnames_are_kept_together(compound: str) -> None:
    assert filtered(f"{compound}伟", "surname") == compound
    assert filtered(f"{compound}伟", "given_name_pinyin") == "wei"


def test_a_surname_with_two_readings_is_in_the_table_with_the_usual_one() -> None:
    for surname, other in OTHER_READINGS.items():
        assert SURNAMES[surname] != (other,)


READINGS = Readings(
    surnames={"盖": ("gai",), "纳兰": ("na", "lan")},
    characters={"茜": ("xi",), "重庆": ("chong", "qing"), "重": ("zhong",)},
)


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("盖明", "gaiming"),
        ("张茜", "zhangxi"),
        ("茜茜", "xixi"),
        ("张重", "zhangzhong"),
        ("张重庆", "zhangchongqing"),
        ("盖茜伟", "gaixiwei"),
        ("阿里·茜", "alixi"),
        ("单明", "shanming"),
    ],
)
def test_what_operators_say_about_characters_wins(name: str, reading: str) -> None:
    assert filtered(name, "pinyin", readings=READINGS) == reading


def test_an_operator_gives_a_rare_character_its_reading() -> None:
    with pytest.raises(NeedsDataError):
        filtered("张𠮷", "pinyin")
    readings = Readings(characters={"𠮷": ("ji",)})
    assert filtered("张𠮷", "pinyin", readings=readings) == "zhangji"


def test_one_persons_reading_is_that_persons_alone() -> None:
    own = Readings(own="shan xiao-ming")
    assert filtered("单小明", "pinyin_initials", readings=own) == "sxm"
    assert filtered("单小明", "surname_pinyin", readings=own) == "shan"
    other = compile_value("{{ '盖明' | pinyin }}", roots={"person"})
    assert other({"person": {"full_name": "单小明", "readings": own}}) == "geming"


@pytest.mark.parametrize("reading", ["", "  ", "shàn", "a_b", "单"])
def test_a_reading_of_anything_but_ascii_letters_is_refused(reading: str) -> None:
    with pytest.raises(NeedsDataError, match="ASCII letters"):
        filtered("单小明", "pinyin", readings=Readings(own=reading or " "))


def test_an_unknown_way_to_write_u_umlaut_is_refused() -> None:
    with pytest.raises(InvalidPersonError, match="failed"):
        filtered("吕布", "pinyin('w')")


@pytest.mark.parametrize("text", ["", "---", "…", "·"])
def test_an_address_of_nothing_goes_to_a_human(text: str) -> None:
    with pytest.raises(NeedsDataError, match="e-mail"):
        filtered(text, "email_local")


@given(st.text(max_size=90))
def test_what_stands_before_the_at_is_safe(text: str) -> None:
    """RFC 5321 §4.5.3.1.1, RFC 5322 dot-atom."""
    try:
        local = filtered(text, "email_local")
    except NeedsDataError:
        return
    assert re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?", local)
    assert ".." not in local


HAN = st.text(alphabet="王单欧阳尉迟李小明伟长晟重庆", min_size=1, max_size=5)


@given(HAN)
def test_surname_and_given_name_are_the_whole_name(name: str) -> None:
    parts = filtered(name, "surname") + filtered(name, "given_name")
    assert parts == name
    read = filtered(name, "surname_pinyin") + filtered(name, "given_name_pinyin")
    assert read == filtered(name, "pinyin")
    assert len(filtered(name, "pinyin_initials")) == len(name)


def test_unknown_filters_are_refused_when_the_configuration_loads() -> None:
    with pytest.raises(ConfigurationError, match="pinjin"):
        compile_value("{{ person.full_name | pinjin }}", roots={"person"})
