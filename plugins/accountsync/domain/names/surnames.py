"""How surnames are read, and characters of given names that a dictionary misreads.

Sources: GB/T 28039-2011 (spelling of personal names), ISO 7098, Xiandai Hanyu Cidian. Checked
against the surname tables of two public pinyin libraries and the Hundred Family Surnames. Listed
are compound surnames, and single ones that a general dictionary misreads or might misread in a
newer edition. `v` stands for ü.
"""

from __future__ import annotations

COMPOUND_SURNAMES = {
    "万俟": "mo qi", "尉迟": "yu chi", "单于": "chan yu", "长孙": "zhang sun", "澹台": "tan tai",
    "令狐": "ling hu", "濮阳": "pu yang", "宰父": "zai fu", "夏侯": "xia hou", "欧阳": "ou yang",
    "司马": "si ma", "上官": "shang guan", "诸葛": "zhu ge", "东方": "dong fang",
    "皇甫": "huang fu",
    "公孙": "gong sun", "慕容": "mu rong", "司徒": "si tu", "司空": "si kong", "宇文": "yu wen",
    "轩辕": "xuan yuan", "端木": "duan mu", "百里": "bai li", "南宫": "nan gong",
    "东郭": "dong guo", "呼延": "hu yan", "独孤": "du gu", "赫连": "he lian", "拓跋": "tuo ba",
    "申屠": "shen tu", "太史": "tai shi", "钟离": "zhong li", "鲜于": "xian yu", "闻人": "wen ren",
    "西门": "xi men", "第五": "di wu", "公羊": "gong yang", "淳于": "chun yu", "耶律": "ye lv",
    "完颜": "wan yan", "纳兰": "na lan", "梁丘": "liang qiu", "左丘": "zuo qiu", "谷梁": "gu liang",
    "榖梁": "gu liang", "公冶": "gong ye", "宗政": "zong zheng", "太叔": "tai shu",
    "仲孙": "zhong sun", "闾丘": "lv qiu", "亓官": "qi guan", "司寇": "si kou", "子车": "zi ju",
    "颛孙": "zhuan sun", "巫马": "wu ma", "公西": "gong xi", "漆雕": "qi diao", "乐正": "yue zheng",
    "壤驷": "rang si", "公良": "gong liang", "夹谷": "jia gu", "段干": "duan gan",
    "羊舌": "yang she", "南门": "nan men", "东门": "dong men", "微生": "wei sheng",
    "尉遲": "yu chi", "單于": "chan yu", "萬俟": "mo qi", "長孫": "zhang sun", "歐陽": "ou yang",
    "司馬": "si ma", "諸葛": "zhu ge", "東方": "dong fang", "公孫": "gong sun",
    "軒轅": "xuan yuan", "南宮": "nan gong", "東郭": "dong guo", "獨孤": "du gu",
    "赫連": "he lian", "鍾離": "zhong li", "鮮于": "xian yu", "聞人": "wen ren", "西門": "xi men",
    "完顏": "wan yan", "納蘭": "na lan", "濮陽": "pu yang", "澹臺": "tan tai", "樂正": "yue zheng",
}  # fmt: skip

SINGLE_SURNAMES = {
    "单": "shan", "仇": "qiu", "解": "xie", "曾": "zeng", "查": "zha", "区": "ou", "朴": "piao",
    "任": "ren", "盖": "ge", "华": "hua", "纪": "ji", "缪": "miao", "乜": "nie", "宁": "ning",
    "秘": "bi", "冼": "xian", "员": "yun", "翟": "zhai", "召": "shao", "种": "chong",
    "重": "chong", "祭": "zhai", "折": "she", "黑": "he", "过": "guo", "尹": "yin", "隗": "wei",
    "那": "na", "哈": "ha", "牟": "mou", "繁": "po", "令": "ling", "晁": "chao", "句": "gou",
    "阚": "kan", "逄": "pang", "佴": "nai", "笪": "da", "覃": "qin", "燕": "yan", "应": "ying",
    "乐": "yue", "车": "che", "石": "shi", "谌": "chen", "贾": "jia", "瞿": "qu", "能": "nai",
    "葛": "ge", "沈": "shen", "卜": "bu", "柏": "bai", "干": "gan", "呙": "guo", "吕": "lv",
    "闾": "lv", "律": "lv", "禄": "lu", "尉": "wei", "曲": "qu", "褚": "chu", "郇": "xun",
    "殷": "yin", "费": "fei", "郗": "xi", "鲍": "bao", "洪": "hong", "都": "du", "薄": "bo",
    "洗": "xian", "贠": "yun", "貟": "yun", "角": "jue", "藏": "zang", "粘": "nian", "隽": "juan",
    "晟": "cheng", "盛": "sheng", "俞": "yu", "长": "chang", "炅": "gui", "宓": "mi", "叶": "ye",
    "呂": "lv", "單": "shan", "區": "ou", "蓋": "ge", "樂": "yue", "員": "yun", "繆": "miao",
    "闞": "kan", "葉": "ye",
}  # fmt: skip
"""The traditional forms come last."""

OTHER_READINGS = {
    "隗": "kui", "盖": "gai", "乐": "le", "覃": "tan", "翟": "di", "牟": "mu", "缪": "mou",
    "黑": "hei", "仇": "chou", "宓": "fu", "郗": "chi", "谌": "shen", "折": "zhe", "召": "zhao",
    "员": "yuan", "薄": "bao", "柏": "bo", "祭": "ji", "尉": "yu", "那": "nuo", "洗": "xi",
    "粘": "zhan", "隽": "jun", "炅": "jiong", "区": "qu", "解": "jie", "令": "lian", "种": "zhong",
}  # fmt: skip
"""Surnames that some families read in another way, of which a preview warns."""

IN_GIVEN_NAMES = {
    "晟": "sheng", "长": "chang", "長": "chang", "泊": "bo", "琢": "zhuo", "佛": "fo", "勒": "le",
    "都": "du", "什": "shi", "塞": "sai", "湫": "qiu", "了": "liao", "曾": "zeng", "还": "huan",
    "着": "zhuo", "率": "shuai",
}  # fmt: skip
"""Characters whose first reading in the dictionary is not that of names. The dictionary's words of
two and more characters (长江, 长辈) win over this."""

GIVEN_NAMES = {"柏林": "bai lin"}
"""Given names that are another word elsewhere (Berlin: bo lin)."""

SURNAMES = {
    **{characters: tuple(reading.split()) for characters, reading in COMPOUND_SURNAMES.items()},
    **{character: (reading,) for character, reading in SINGLE_SURNAMES.items()},
}
"""Surname → its syllables."""
