"""uv must find packages where pip was told to look."""

from pathlib import Path

from demo.install import block, uv_settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_block_of_a_package_is_its_pin_and_hashes() -> None:
    wanted = "uv==0.1 ; x \\\n    --hash=sha256:b \\\n    --hash=sha256:c\n"
    assert block("uv", f"uuid6==1 \\\n    --hash=sha256:a\n{wanted}vine==2\n") == wanted


def test_uv_is_locked_with_hashes() -> None:
    assert "--hash=sha256:" in block("uv", (ROOT / "requirements-dev.txt").read_text())


def test_pips_mirror_and_certificate_are_passed_on_and_variables_win() -> None:
    lines = [
        "global.index-url='https://mirror.invalid/simple'",
        "global.extra-index-url='https://a.invalid https://b.invalid'",
        ":env:.index-url='https://nearer.invalid/simple'",
        "global.find-links='/wheels /more'",
        "global.cert='/ca.pem'",
        "global.no-color='true'",
    ]
    assert uv_settings(lines) == {
        "UV_DEFAULT_INDEX": "https://nearer.invalid/simple",
        "UV_INDEX": "https://a.invalid https://b.invalid",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/ca.pem",
    }


def test_without_a_configuration_nothing_is_passed_on() -> None:
    assert uv_settings([]) == {}
