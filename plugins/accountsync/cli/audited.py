"""Who decides, and why: asked for wherever the audit trail keeps it."""

from __future__ import annotations

from typing import Annotated

import typer


def _said(comment: str) -> str:
    if not comment.strip():
        raise typer.BadParameter("say why: a blank tells nobody anything later")
    return comment


Comment = Annotated[str, typer.Option(help="why; kept in the audit trail", callback=_said)]
Actor = Annotated[str, typer.Option(help="who decides; default: your login", show_default=False)]
