"""The API's description: ``/openapi.json`` for programs, ``/docs`` for people; the page is made from the document."""

import re
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, make_response, redirect, render_template, url_for
from markupsafe import Markup, escape
from werkzeug.wrappers import Response as BaseResponse

from app.api.docs_page import KEY, errors, operations, pretty
from app.api.openapi import build
from app.api.openapi_components import JSON
from app.extensions import settings

blueprint = Blueprint("docs", __name__)
POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:"
_CODE = re.compile(r"`([^`]+)`")
_QUOTED = re.compile(r"(&#34;.*?&#34;)(:)?")


def document() -> dict[str, Any]:
    """The OpenAPI document of this app."""
    rules = [rule.rule for rule in current_app.url_map.iter_rules()]
    return build(settings().base_url, settings().auth_required, rules)


@blueprint.get("/")
def index() -> BaseResponse:
    """There is no other page to greet with."""
    return redirect(url_for("docs.page"))


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The document itself; the limit of requests does not apply."""
    return jsonify(document())


@blueprint.get("/docs")
def page() -> Response:
    """One page, no scripts, nothing from elsewhere."""
    described = document()
    sections = [(tag["name"], list(operations(described, tag["name"]))) for tag in described["tags"]]
    text = render_template(
        "docs.html",
        info=described["info"],
        base_url=described["servers"][0]["url"],
        auth_required=settings().auth_required,
        sections=sections,
        errors=errors(described),
        error_example=pretty(described["components"]["responses"]["Invalid"]["content"][JSON]["example"]),
        key=KEY,
    )
    response = make_response(text)
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.app_template_filter("code")
def code(text: str) -> Markup:
    """Text with ``<code>`` where Markdown has backticks; all else escaped."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704


@blueprint.app_template_filter("quoted")
def quoted(text: str) -> Markup:
    """JSON or a command with its quoted parts marked, names apart from values; all escaped."""
    return Markup(_QUOTED.sub(_mark, str(escape(text))))  # noqa: S704


def _mark(found: re.Match[str]) -> str:
    return f'<span class="{"name" if found[2] else "value"}">{found[1]}</span>{found[2] or ""}'
