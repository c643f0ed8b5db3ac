"""The form's page as a browser and a screen reader see it: no script, a label for each field, errors beside theirs."""

from html.parser import HTMLParser

import pytest

from tests.forms import FILLED, PAGE, appointments, client_of, send, switch_on
from tests.world import World

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Page(HTMLParser):
    """The elements of a page with their attributes; ``fields`` are those of its form by name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.ids = [known["id"] for _, known in self.elements if "id" in known]
        kinds = ("input", "select", "textarea")
        self.fields = {known["name"]: known for tag, known in self.elements if tag in kinds}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [known.get(attribute) for name, known in self.elements if name == tag]


def test_what_the_page_holds_is_what_booking_takes(world: World) -> None:
    switch_on(services=["Haircut"], staff=["Bo"], consentText="I agree.", openFrom="09:00", openUntil="17:00")
    client = client_of(world)
    page = Page(client.get(PAGE).text)
    seen = {"name", "phone", "email", "service", "staff", "date", "time", "notes", "consent"}
    assert page.fields.keys() == seen | {"token", "website"}
    assert set(page.all("label", "for")) == seen | {"website"}
    assert len(page.ids) == len(set(page.ids))
    assert page.fields["date"]["min"] == "2026-05-11"
    assert page.fields["date"]["max"] == "2026-08-09"
    assert (page.fields["time"]["min"], page.fields["time"]["max"]) == ("09:00", "17:00")
    assert [page.fields[name]["autocomplete"] for name in ("name", "phone", "email")] == ["name", "tel", "email"]
    assert not {"script", "iframe"} & {tag for tag, _ in page.elements}
    filled = {name: known.get("value") or "" for name, known in page.fields.items()}
    filled |= FILLED | {"service": "Haircut", "staff": "Bo", "consent": "on"}
    assert client.post(page.all("form", "action")[0], data=filled).status_code == 303
    assert appointments()[0][0].staff == "Bo"


def test_errors_are_told_at_the_top_and_beside_their_fields(world: World) -> None:
    switch_on(services=["Haircut"])
    response = send(client_of(world), phone="110", service="Haircut", notes="Ring twice", time="10:00")
    assert response.status_code == 422
    page = Page(response.text)
    assert page.all("title", "id") == [None]
    assert "<title>Please look again" in response.text
    assert page.fields["phone"]["aria-invalid"] == "true"
    assert page.fields["phone"]["value"] == "110"
    assert "aria-invalid" not in page.fields["name"]
    for _, known in page.elements:
        for target in (known.get("aria-describedby") or "").split():
            assert target in page.ids
    links = [target for target in page.all("a", "href") if target]
    assert links == ["#phone"]
    assert all(target.removeprefix("#") in page.ids for target in links)
    assert ">Ring twice</textarea>" in response.text
    assert "<option selected>Haircut" in response.text
    assert response.text.count("Mobile number: is not a phone number that exists") == 2


def test_its_style_is_there(world: World) -> None:
    switch_on()
    client = client_of(world)
    for path in Page(client.get(PAGE).text).all("link", "href"):
        with client.get(path) as response:
            assert response.status_code == 200
