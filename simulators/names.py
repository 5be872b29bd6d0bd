"""Made-up names with the traps of real ones: namesakes, polyphones, compound surnames, scripts.

`name_of(draws)` turns random numbers into a `Name`; equal draws give equal names. Readings follow
GB/T 28039 (吕 is `lyu`). Every polyphonic surname carries the reading it has *as a surname*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Name(NamedTuple):
    """`reading` is the pinyin, surname first, given name in one word: "ouyang xiaowen"."""

    full: str
    reading: str
    english: str


def _pairs(table: str) -> list[tuple[str, str]]:
    """Read "张 zhang 李 li" into pairs."""
    words = table.split()
    return list(zip(words[::2], words[1::2], strict=True))


def _wheel(*shares: tuple[int, str]) -> list[tuple[str, str]]:
    """Repeat every pair by its share, so that a plain index draws by weight."""
    return [pair for share, table in shares for pair in _pairs(table) for _ in range(share)]


# Shares per thousand, after the order of frequency in China, flattened a little.
SURNAMES = _wheel(
    (70, "王 wang 李 li 张 zhang"),
    (50, "刘 liu 陈 chen"),
    (30, "杨 yang 黄 huang 赵 zhao 吴 wu 周 zhou"),
    (
        18,
        "徐 xu 孙 sun 马 ma 朱 zhu 胡 hu 郭 guo 何 he 林 lin 罗 luo 高 gao 郑 zheng 梁 liang",
    ),
    (
        9,
        "谢 xie 宋 song 唐 tang 许 xu 邓 deng 冯 feng 韩 han 曹 cao 曾 zeng 彭 peng 萧 xiao "
        "蔡 cai 潘 pan 田 tian 董 dong 袁 yuan 于 yu 余 yu 叶 ye 蒋 jiang 杜 du 苏 su 魏 wei "
        "程 cheng 吕 lyu 丁 ding 沈 shen 任 ren 姚 yao 卢 lu 傅 fu 钟 zhong 姜 jiang 崔 cui",
    ),
    (
        5,
        "谭 tan 廖 liao 范 fan 汪 wang 陆 lu 金 jin 石 shi 戴 dai 贾 jia 韦 wei 夏 xia 邱 qiu "
        "方 fang 侯 hou 邹 zou 熊 xiong 孟 meng 秦 qin 白 bai 江 jiang 阎 yan 薛 xue 尹 yin "
        "段 duan 雷 lei 黎 li 史 shi 龙 long 陶 tao 贺 he 顾 gu 毛 mao 郝 hao 龚 gong 邵 shao "
        "万 wan 钱 qian 严 yan 武 wu 莫 mo 孔 kong 向 xiang 常 chang",
    ),
    (
        2,
        "单 shan 仇 qiu 解 xie 查 zha 区 ou 朴 piao 盖 ge 乐 yue 覃 qin 缪 miao 华 hua 翟 zhai "
        "尉迟 yuchi 欧阳 ouyang 司马 sima 上官 shangguan 诸葛 zhuge 皇甫 huangfu 慕容 murong "
        "令狐 linghu 司徒 situ 夏侯 xiahou 端木 duanmu 长孙 zhangsun 宇文 yuwen 万俟 moqi",
    ),
)

# Characters of given names; the first rows are the fashions that make namesakes.
GIVEN = _wheel(
    (9, "伟 wei 芳 fang 敏 min 静 jing 丽 li 强 qiang 磊 lei 军 jun 洋 yang 勇 yong 艳 yan"),
    (
        5,
        "杰 jie 娟 juan 涛 tao 明 ming 超 chao 秀 xiu 霞 xia 平 ping 刚 gang 英 ying 华 hua "
        "文 wen 玉 yu 建 jian 志 zhi 晓 xiao 小 xiao 国 guo 海 hai 婷 ting 鹏 peng 宇 yu",
    ),
    (
        2,
        "辉 hui 斌 bin 波 bo 燕 yan 红 hong 梅 mei 兰 lan 龙 long 雪 xue 林 lin 浩 hao 鑫 xin "
        "欣 xin 博 bo 思 si 雨 yu 嘉 jia 佳 jia 俊 jun 子 zi 梓 zi 涵 han 轩 xuan 怡 yi 慧 hui "
        "琳 lin 璐 lu 倩 qian 琪 qi 瑶 yao 颖 ying 莹 ying 凯 kai 健 jian 峰 feng 锋 feng "
        "宁 ning 晨 chen 阳 yang 亮 liang 帆 fan 飞 fei 毅 yi 翔 xiang 东 dong 庆 qing",
    ),
    (
        1,
        "昊 hao 睿 rui 哲 zhe 诗 shi 韵 yun 蕾 lei 萌 meng 菲 fei 薇 wei 楠 nan 彬 bin 磐 pan "
        "淼 miao 焱 yan 翰 han 骏 jun 祺 qi 瑾 jin 瑜 yu 珊 shan 玲 ling 琴 qin 蓉 rong "
        "桂 gui 春 chun 夏 xia 秋 qiu 冬 dong 松 song 柏 bai 桐 tong 岚 lan 溪 xi 清 qing "
        "源 yuan 泽 ze 润 run 恒 heng 坤 kun 乾 qian 元 yuan 启 qi 承 cheng 远 yuan 宏 hong "
        "泰 tai 瑞 rui 福 fu 安 an 康 kang 仁 ren 义 yi 礼 li 信 xin 诚 cheng 忠 zhong 栋 dong "
        "梁 liang 彦 yan 奕 yi 逸 yi 妍 yan 娜 na 媛 yuan 雯 wen 霖 lin 旭 xu 晖 hui 曦 xi",
    ),
)

MINORITY = _wheel(
    (
        1,
        "买买提 maimaiti 阿里木 alimu 古丽娜尔 gulinaer 艾尔肯 aierken 吐尔逊 tuerxun "
        "迪丽拜尔 dilibaier 热合曼 reheman 阿依古丽 ayiguli 扎西 zhaxi 多吉 duoji 卓玛 zhuoma "
        "才让 cairang 巴特尔 bateer 其其格 qiqige 乌兰 wulan 苏日娜 surina",
    ),
)
LATIN_GIVEN = (
    "Anna",
    "Björn",
    "Carlos",
    "Dmitri",
    "Élodie",
    "François",
    "Ines",
    "Jean-Luc",
    "José",
    "Nora",
    "Søren",
    "Zoë",
)
LATIN_FAMILY = (
    "Andersson",
    "D'Angelo",
    "Fischer",
    "García",
    "Ivanov",
    "Łukasz",
    "Müller",
    "Nguyen",
    "O'Brien",
    "Smith",
)
NICKNAMES = (
    "Alex",
    "Bella",
    "Cindy",
    "David",
    "Eric",
    "Grace",
    "Henry",
    "Ivy",
    "Jack",
    "Kevin",
    "Lily",
    "Tony",
)


def name_of(draws: Sequence[int]) -> Name:
    """Make a name from five draws of 0..65535: which kind, surname, given, given, one or two."""
    kind = draws[0] % 200
    if kind < 190:
        return _han(draws)
    if kind < 194:
        return _minority(draws)
    if kind < 198:
        return _latin(draws)
    return _mixed(draws)


def _han(draws: Sequence[int]) -> Name:
    surname, reading = SURNAMES[draws[1] % len(SURNAMES)]
    given, sound = GIVEN[draws[2] % len(GIVEN)]
    if draws[4] % 4:
        second, second_sound = GIVEN[draws[3] % len(GIVEN)]
        given, sound = given + second, sound + second_sound
    return Name(surname + given, f"{reading} {sound}", "")


def _minority(draws: Sequence[int]) -> Name:
    own, own_sound = MINORITY[draws[1] % len(MINORITY)]
    father, father_sound = MINORITY[draws[2] % len(MINORITY)]
    return Name(f"{own}·{father}", f"{own_sound} {father_sound}", "")


def _latin(draws: Sequence[int]) -> Name:
    given = LATIN_GIVEN[draws[1] % len(LATIN_GIVEN)]
    full = f"{given} {LATIN_FAMILY[draws[2] % len(LATIN_FAMILY)]}"
    return Name(full, "", full)


def _mixed(draws: Sequence[int]) -> Name:
    surname, reading = SURNAMES[draws[1] % len(SURNAMES)]
    nickname = NICKNAMES[draws[2] % len(NICKNAMES)]
    return Name(f"{surname}{nickname}", f"{reading} {nickname.lower()}", f"{nickname} {reading}")
