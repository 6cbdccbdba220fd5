# SPDX-License-Identifier: Apache-2.0
"""What all parts of a model have in common."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

#: Names become host, interface and metric labels.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("an address in its usual form, as in 10.1.0.1 or 2001:db8::1")
    return value


#: Of addresses: what `ipaddress` makes of 7 is 0.0.0.7, and nobody means that.
NO_NUMBER: Final = BeforeValidator(_no_number)


class Record(BaseModel):
    """A part of a model. It never changes: another state is another model."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
