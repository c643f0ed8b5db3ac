"""Fields that routes of several features share."""

from typing import Annotated

from pydantic import Field, StringConstraints

from app.ids import WORKSPACE_ID

WorkspaceId = Annotated[
    str,
    StringConstraints(pattern=f"^{WORKSPACE_ID.pattern}$"),
    Field(description="The workspace. With an API key it must be the key's own.", examples=["ws_123"]),
]
