"""Readings of Chinese names: surname first, without tones.

Sources: GB/T 28039-2011 (spelling of personal names), ISO 7098. Surnames have readings of their
own (单 is shàn as a surname, dān elsewhere) that a general dictionary misreads: `SURNAMES`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from anyascii import anyascii

from accountsync.errors import NeedsDataError

SURNAMES = {
    "单": "shan", "仇": "qiu", "解": "xie", "曾": "zeng", "查": "zha", "区": "ou", "朴": "piao",
    "任": "ren", "盖": "ge", "华": "hua", "纪": "ji", "缪": "miao", "乜": "nie", "宁": "ning",
    "秘": "bi", "冼": "xian", "员": "yun", "翟": "zhai", "召": "shao", "种": "chong", "重": "chong",
    "祭": "zhai", "折": "she", "黑": "he", "过": "guo", "尹": "yin", "隗": "wei",
    "那": "na", "哈": "ha", "牟": "mou", "繁": "po", "令": "ling", "晁": "chao",
    "句": "gou", "阚": "kan", "逄": "pang", "佴": "nai", "笪": "da", "覃": "qin", "燕": "yan",
    "应": "ying", "乐": "yue", "车": "che", "石": "shi", "谌": "chen", "贾": "jia", "瞿": "qu",
    "能": "nai", "葛": "ge", "沈": "shen", "卜": "bu", "柏": "bai",
    "干": "gan", "呙": "guo", "吕": "lv", "闾": "lv", "律": "lv", "禄": "lu", "尉": "wei",
    "曲": "qu", "褚": "chu", "郇": "xun", "殷": "yin", "费": "fei", "郗": "xi", "鲍": "bao",
    "洪": "hong", "万俟": "moqi", "尉迟": "yuchi", "单于": "chanyu", "长孙": "zhangsun",
    "澹台": "tantai", "令狐": "linghu", "濮阳": "puyang", "宰父": "zaifu", "夏侯": "xiahou",
    "欧阳": "ouyang", "司马": "sima", "上官": "shangguan", "诸葛": "zhuge", "东方": "dongfang",
    "皇甫": "huangfu", "公孙": "gongsun", "慕容": "murong", "司徒": "situ", "司空": "sikong",
    "宇文": "yuwen", "轩辕": "xuanyuan", "端木": "duanmu", "百里": "baili", "南宫": "nangong",
    "东郭": "dongguo", "呼延": "huyan", "独孤": "dugu", "赫连": "helian", "拓跋": "tuoba",
    "申屠": "shentu", "太史": "taishi", "钟离": "zhongli", "鲜于": "xianyu", "闻人": "wenren",
    "西门": "ximen", "第五": "diwu", "公羊": "gongyang", "淳于": "chunyu", "耶律": "yelv",
    "完颜": "wanyan", "纳兰": "nalan", "梁丘": "liangqiu", "左丘": "zuoqiu", "谷梁": "guliang",
    "都": "du", "薄": "bo", "洗": "xian", "贠": "yun", "角": "jue", "藏": "zang",
    "單": "shan", "區": "ou", "蓋": "ge", "樂": "yue", "員": "yun", "繆": "miao", "闞": "kan",
    "尉遲": "yuchi", "單于": "chanyu", "萬俟": "moqi",
}  # fmt: skip
"""Surname → reading, `v` for ü, traditional forms last. Compound surnames are looked up first."""

DOTS = "·•・‧∙⋅."
"""Between the parts of a minority or foreign name, whose first part is no surname."""

_LATIN = re.compile(r"[\u0000-\u024f\u1e00-\u1eff]+")
_HAN = "\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PADDING = re.compile(rf"(?<=[{_HAN}])\s+(?=[{_HAN}])")
_REPEATED = re.compile(rf"([{_HAN}])々")
_DOTTED = re.compile(rf"\w\s*[{re.escape(DOTS)}]\s*\w")
_BETWEEN_PARTS = re.compile(rf"[\s{re.escape(DOTS)}'’-]+")


@lru_cache(maxsize=65536)
def syllables(name: str) -> tuple[str, ...]:
    """The reading of a full name, a syllable a Chinese character, a word a run of Latin letters.

    Raises NeedsDataError where a character has no known reading.
    """
    text = unicodedata.normalize("NFKC", name)
    _refuse(c for c in text if c in "?\ufffd" or unicodedata.category(c) in ("Co", "Cs", "Cn"))
    text = _REPEATED.sub(r"\1\1", _PADDING.sub("", text))
    read = _read if _DOTTED.search(text) else _read_surname_first
    found = tuple(s for part in _BETWEEN_PARTS.split(text) for s in read(part) if s)
    if not found:
        raise NeedsDataError("the name has no readable character; correct it in HR")
    return found


def _read_surname_first(part: str) -> tuple[str, ...]:
    for length in (2, 1):
        if surname := SURNAMES.get(part[:length]):
            return (surname, *_read(part[length:]))
    return _read(part)


def _read(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    if _LATIN.fullmatch(text):
        return (_letters(text),)
    from pypinyin import Style, lazy_pinyin  # 0.3 s: only who reads names pays for the dictionary

    return tuple(
        _letters(syllable)
        for syllable in lazy_pinyin(text, style=Style.NORMAL, v_to_u=False, errors=_transliterate)
    )


def _transliterate(run: str) -> str:
    """Called with runs that are not Chinese, and with Chinese characters of unknown reading."""
    _refuse(re.findall(f"[{_HAN}]", run))
    return anyascii(run)


def _refuse(unread: Iterable[str]) -> None:
    """A lost or unreadable character would be missing from the person's names for ever."""
    if codes := " ".join(f"U+{ord(c):04X}" for c in unread):
        raise NeedsDataError(f"the name holds a character without a known reading ({codes})")


def ascii_text(text: str) -> str:
    """é → e, ł → l, ß → ss, Ж → Zh: letters of any script in ASCII."""
    return anyascii(text)


def _letters(text: str) -> str:
    return "".join(c for c in anyascii(text).casefold() if c.isascii() and c.isalnum())
