"""Describes the form fields that administrators and API keys have in common: a name and a role."""

from licet.accounts.account import check_name
from licet.admin.pages.forms import Field, Kind, Option
from licet.model import Role
from licet.refusal import SubjectKind

_ROLES = {
    Role.VIEWER: "sees everything, and changes nothing",
    Role.OPERATOR: "may also end sessions",
    Role.OWNER: "may also change the set-up and the accounts",
}
ROLE = Field(
    name="role",
    label="Role",
    kind=Kind.CHOICE,
    options=tuple(Option(value=role.value, label=role.value, help=text) for role, text in _ROLES.items()),
    read=Role,
)


def name_field(word: SubjectKind) -> Field:
    """The field of a name."""

    def read(text: str) -> str:
        check_name(word, text)
        return text

    help_ = "1 to 64 small letters, digits, _ . @ + and -."
    return Field(name="name", label="Name", help=help_, read=read, width="medium")
