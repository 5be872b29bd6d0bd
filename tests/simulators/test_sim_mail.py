import smtplib
from email.message import EmailMessage

import pytest
import requests


def send(sims, subject: str, *, html: str | None = None) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "airflow@example.com", "ops@example.com"
    message["Subject"] = subject
    message.set_content("您好，三个账号被暂停。")
    if html is not None:
        message.add_alternative(html, subtype="html")
    with smtplib.SMTP(sims.mail.smtp_host, sims.mail.smtp_port, timeout=10) as smtp:
        smtp.send_message(message)


def test_a_mail_is_caught_and_decoded(sims):
    send(sims, "暂停 <批次>", html="<p>三个账号</p>")
    (mail,) = sims.mail.mails()
    assert (mail["from"], mail["to"]) == ("airflow@example.com", ["ops@example.com"])
    assert mail["subject"] == "暂停 <批次>"
    assert mail["text"].strip() == "您好，三个账号被暂停。"
    assert mail["html"].strip() == "<p>三个账号</p>"


def test_mails_can_be_read_on_a_page_that_escapes_them(sims):
    assert "No mail yet" in requests.get(sims.mail.url, timeout=10).text
    send(sims, "<script>alert(1)</script>")
    page = requests.get(sims.mail.url, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text
    send(sims, "held", html="<p>三个账号 <script>alert(2)</script></p>")
    page = requests.get(sims.mail.url, timeout=10)
    assert 'srcdoc="&lt;base target=&quot;_blank&quot;&gt;&lt;p&gt;三个账号' in page.text
    assert "<script>" not in page.text


@pytest.mark.parametrize("forget", ["clear", "reset"])
def test_mails_can_be_cleared(sims, forget):
    send(sims, "one")
    getattr(sims.mail, forget)()
    assert sims.mail.mails() == []
    send(sims, "two")
    assert [mail["subject"] for mail in sims.mail.mails()] == ["two"]


def test_a_connection_left_open_does_not_hold_up_the_end(sims):
    with smtplib.SMTP(sims.mail.smtp_host, sims.mail.smtp_port, timeout=10) as smtp:
        assert smtp.noop()[0] == 250
