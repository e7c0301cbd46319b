"""The host's page in headless Chromium, as a developer meets it."""

import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.devhost.running import RunningHost, wait_until


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("page")
    with RunningHost("basic", folder, settings={"NOTES": str(folder / "notes")}) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    assert path, "Chromium is needed and was not found: run 'make setup', or install Debian's package chromium"
    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox; the page shown is our own.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, host: RunningHost) -> Iterator[Page]:
    """A page that has had no error when the test is over. Answers of 4xx are not ours: the browser reports them."""
    errors: list[str] = []
    opened = browser.new_page()
    opened.set_default_timeout(10_000)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on(
        "console",
        lambda told: (
            errors.append(told.text) if told.type == "error" and "Failed to load resource" not in told.text else None
        ),
    )
    yield opened
    opened.close()
    assert errors == []


def show(page: Page, host: RunningHost, where: str = "") -> None:
    page.goto(f"{host.url}/devhost{where}")


def test_the_list_shows_the_newest_first_and_filters_by_id_name_and_status(page: Page, host: RunningHost) -> None:
    host.run("chain", "list-first", 1)
    host.start("approval", "list-second", 3600)
    show(page, host, "#/instances?prefix=list-")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("list-second")
    expect(rows.nth(0)).to_contain_text("Running")
    page.get_by_label("Status").select_option("Completed")
    expect(rows).to_have_count(1)
    expect(rows.nth(0)).to_contain_text("list-first")
    page.get_by_label("Orchestrator").first.fill("nothing like it")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No instances.")).to_be_visible()


def test_pages_of_the_list_leave_nothing_out(host: RunningHost) -> None:
    for number in range(7):
        host.run("chain", f"paged-{number}", 1)
    found: list[str] = []
    query = "prefix=paged-&top=3"
    while page := host.call("GET", f"/devhost/instances?{query}")[1]:
        found += [each["id"] for each in page]
        query = f"prefix=paged-&top=3&before={page[-1]['created']}&behind={page[-1]['id']}"
    assert found == [f"paged-{number}" for number in reversed(range(7))]


@pytest.mark.parametrize("query", ["top=x", "top=0", "top=9999", "status=Asleep"])
def test_a_query_that_cannot_be_answered_is_refused(host: RunningHost, query: str) -> None:
    status, answer = host.call("GET", f"/devhost/instances?{query}")
    assert status == 400
    assert query.split("=")[1] in answer["error"]


def test_the_timeline_shows_what_failed_and_how_long_things_took(page: Page, host: RunningHost) -> None:
    host.start("stubborn", "timeline")
    wait_until(lambda: host.status("timeline")["runtimeStatus"] not in ("Pending", "Running"), "the end")
    show(page, host, "#/instances/timeline")
    expect(page.locator(".timeline .bar.failed").first).to_be_visible()
    failed = page.locator(".timeline .row", has_text="failed").first
    failed.click()
    expect(page.get_by_text("Activity function").first).to_be_visible()
    page.get_by_text("All", exact=False).last.click()
    expect(page.get_by_text("ExecutionStarted")).to_be_visible()


def test_an_event_raised_from_the_page_completes_the_instance_and_the_page_follows(
    page: Page, host: RunningHost
) -> None:
    host.start("approval", "to-approve", 3600)
    show(page, host, "#/instances/to-approve")
    page.get_by_label("Event", exact=True).fill("approve")
    page.get_by_label("Data (JSON)").fill('{"by": ')
    page.get_by_role("button", name="Raise event").click()
    expect(page.get_by_role("alert")).to_contain_text("the data is not JSON")
    page.get_by_label("Data (JSON)").fill('{"by": "me"}')
    page.get_by_role("button", name="Raise event").click()
    expect(page.locator(".status")).to_have_text("Completed")
    assert host.status("to-approve")["output"] == {"approved": {"by": "me"}}


def test_an_instance_is_started_suspended_resumed_terminated_restarted_and_purged(
    page: Page, host: RunningHost
) -> None:
    show(page, host)
    page.get_by_label("Orchestrator").last.select_option("approval")
    page.get_by_label("Id (empty: a new one)").fill("by-hand")
    page.get_by_label("Input (JSON)").fill("3600")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="by-hand")).to_be_visible()
    for button, status in (
        ("Suspend", "Suspended"),
        ("Resume", "Running"),
        ("Terminate", "Terminated"),
        ("Restart", "Running"),
        ("Terminate", "Terminated"),
    ):
        page.get_by_role("button", name=button).click()
        expect(page.locator(".status")).to_have_text(status)
    page.get_by_role("button", name="Purge").click()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
    assert host.call("GET", "/durabletask/instances/by-hand")[0] == 404


def test_an_entity_is_signalled_and_its_state_shown(page: Page, host: RunningHost) -> None:
    show(page, host, "#/entities")
    page.get_by_label("Entity").select_option("counter")
    page.get_by_label("Key", exact=True).fill("page")
    page.get_by_label("Operation").fill("add")
    page.get_by_label("Input (JSON)").fill("42")
    page.get_by_role("button", name="Signal").click()
    expect(page.locator("tbody tr", has_text="page")).to_contain_text("42")


def test_what_the_host_refuses_is_shown_in_its_words(page: Page, host: RunningHost) -> None:
    host.start("approval", "taken", 3600)
    show(page, host)
    page.get_by_label("Orchestrator").last.select_option("approval")
    page.get_by_label("Id (empty: a new one)").fill("taken")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text("409: An Orchestration instance with the status Running")


def test_markup_in_ids_and_payloads_is_text(page: Page, host: RunningHost) -> None:
    hostile = "<img src=x onerror=document.title='broken'>"
    quoted = urllib.parse.quote(hostile)
    host.start("approval", quoted, 3600)
    host.raise_event(quoted, "approve", "<script>document.title='broken'</script>")
    show(page, host, "#/instances?prefix=%3Cimg")
    page.get_by_role("link", name=hostile).click()
    expect(page.get_by_role("heading", name=hostile)).to_be_visible()
    shown = page.locator("pre:visible", has_text="<script>document.title='broken'</script>")
    expect(shown.first).to_be_visible()
    expect(page).to_have_title("devhost")


def test_functions_are_listed_with_their_triggers(page: Page, host: RunningHost) -> None:
    show(page, host, "#/functions")
    expect(page.locator("tbody tr", has_text="eventHubTrigger").first).to_contain_text("market")
    expect(page.locator("tbody tr", has_text="httpTrigger").first).to_contain_text("/api/")


def test_a_page_of_another_site_can_change_nothing(host: RunningHost) -> None:
    assert _status_of_a_start(host, "same-origin") == 202
    assert _status_of_a_start(host, "cross-site") == 403


def _status_of_a_start(host: RunningHost, site: str) -> int:
    headers = {"Content-Type": "application/json", "Sec-Fetch-Site": site}
    request = urllib.request.Request(f"{host.url}/durabletask/orchestrators/chain", json.dumps("1").encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_an_instance_that_does_not_exist_is_said_so(page: Page, host: RunningHost) -> None:
    show(page, host, "#/instances/nobody")
    expect(page.get_by_role("alert")).to_contain_text("there is no instance 'nobody'")
