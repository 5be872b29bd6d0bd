"""What an operator does in Airflow's own pages: read, fill the form, start, follow a link."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.visiting import Scheme, Visit
from tests.live.running import CREATE, DAGS, PROCESS, SYNC, DagRun, Live

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("dag_id", DAGS)
def test_a_dag_says_what_it_is_for_and_what_to_do_when_it_fails(visit: Visit, dag_id: str) -> None:
    page = visit.page(f"dags/{dag_id}")
    page.get_by_role("button", name="Dag Docs").click()
    dialog = page.get_by_role("dialog")
    for heading in ("Purpose", "Runs", "If it fails"):
        expect(dialog.get_by_role("heading", name=heading)).to_be_visible()
    visit.shoot(page, f"docs-{dag_id}")


def _choose_full(form: Locator) -> None:
    form.get_by_role("combobox").first.click()
    form.page.get_by_role("option", name="full").click()


def _switch_dry_run(form: Locator) -> None:
    form.locator("label", has=form.page.locator("input[type=checkbox]")).click()


def _limit_tasks(form: Locator) -> None:
    form.get_by_role("spinbutton").fill("2")


FORMS: dict[str, tuple[Callable[[Locator], None], dict[str, object]]] = {
    SYNC: (_choose_full, {"mode": "full"}),
    CREATE: (_switch_dry_run, {"dry_run": True}),
    PROCESS: (_limit_tasks, {"max_tasks": 2}),
}


@pytest.mark.parametrize("dag_id", DAGS)
def test_the_trigger_form_starts_a_run_that_succeeds(visit: Visit, live: Live, dag_id: str) -> None:
    fill, conf = FORMS[dag_id]
    before = {run.run_id for run in live.stack.api.runs(dag_id)}
    page = visit.page(f"dags/{dag_id}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    expect(form.get_by_text("Run Parameters")).to_be_visible()
    fill(form)
    visit.shoot(page, f"form-{dag_id}")
    form.get_by_role("button", name="Trigger").last.click()
    run = live.wait("the run of the form", lambda: _new_manual_run(live, dag_id, before))
    assert live.ended(run).state == "success"
    asked = live.rest("GET", f"dags/{dag_id}/dagRuns/{run.run_id}")["conf"]
    assert conf == {name: asked[name] for name in conf}  # the form says the other defaults too


def _new_manual_run(live: Live, dag_id: str, before: set[str]) -> DagRun | None:
    runs = [run for run in live.stack.api.runs(dag_id) if run.run_id not in before]
    return next((run for run in runs if run.run_id.startswith("manual__")), None)


def test_the_mail_of_a_failed_run_leads_to_its_log(visit: Visit, live: Live) -> None:
    """And is readable on a telephone, by day and by night."""
    live.hr.fault("ok_with_error", path="/auth/token$")
    run = live.ended(live.trigger(SYNC))
    mail = live.wait("the mail", lambda: live.mails(run))[0]
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            page = _opened(visit, mail["html"], width, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            visit.shoot(page, f"mail-{width}-{scheme}")
    page = visit.page(page.get_by_role("link", name="Log").get_attribute("href") or "")
    last = page.get_by_text("Failed: ConfigurationError: hr_api: no token (HTTP 200)")
    expect(last).to_be_in_viewport()
    visit.shoot(page, "log-of-the-mail")


def _opened(visit: Visit, html: str, width: int, scheme: Scheme) -> Page:
    page = visit.page(width=width, scheme=scheme)
    page.set_content(f"<meta name=color-scheme content='light dark'>{html}")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_show_our_dags(visit: Visit, width: int, scheme: Scheme) -> None:
    page = visit.page("dags", width=width, scheme=scheme)
    for dag_id in DAGS:
        expect(page.get_by_text(dag_id).first).to_be_visible()
    visit.shoot(page, f"dags-{width}-{scheme}")
    page.goto(f"{visit.live.stack.api.url}/dags/{SYNC}")
    expect(page.get_by_text("announce").first).to_be_attached()
    visit.shoot(page, f"dag-{width}-{scheme}")
