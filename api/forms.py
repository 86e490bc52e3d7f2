"""What a form holds: what was typed, and what is wrong with it. The macros of `parts/forms.html` show both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import request

from api.language import tell
from orchestrator.errors import ClocherError


@dataclass
class Form:
    """values: field → what stands in it; errors: field → its fault; sentence, action: what is wrong with the whole."""

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    sentence: str = ""
    action: str = ""

    @classmethod
    def sent(cls) -> Form:
        """The form as it was sent."""
        return cls(request.form.to_dict())

    @classmethod
    def asked(cls) -> Form:
        """The filters that the address holds."""
        return cls(request.args.to_dict())

    def refused(self, error: ClocherError, only: str = "") -> Form:
        """This form with what `error` says: of each field that it names, or of the field `only`, or of the whole."""
        faults = error.facts.get("errors", [])
        named = {fault["parameter"]: fault["sentence"] for fault in faults if "parameter" in fault}
        if not named and only:
            named = {only: f"{tell(error.sentence)} {tell(error.action)}".strip()}
        self.errors.update(named)
        self.sentence, self.action = error.sentence, error.action
        return self


def sent_text() -> str:
    """The text of the file that was chosen, or what a preview of it holds."""
    given = request.files.get("file")
    if given and given.filename:
        content: bytes = given.read()
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("cp1252", "replace")  # as an older spreadsheet saves it
    return str(request.form.get("text", ""))
