"""What lies on a machine under this stack's name beyond the parts that were asked about."""

import re
from collections.abc import Mapping, Sequence

from .state import Recorded, without_project

_KEY = re.compile(r"(?:keypair|authorized-key|login-key)-.*-([0-9]+)")
_OF_A_HOST = re.compile(r"(?:ssh-tunnel|scrape-config)-(.+)")
_EXPORTER = re.compile(r"exporter-([0-9]+)")


def leftovers(
    reported: Sequence[tuple[str, str]],
    holder: str,
    declared: Mapping[str, str],
    recorded: Mapping[str, Recorded] | None,
) -> list[str]:
    """Return what is to be said of receipts that no declared part looks after.

    `reported` are pairs of receipt and owner, as a machine has them; `holder` is `<project>:<stack>`; `declared` gives
    the receipt of each resource of this program, whichever machine it is on; `recorded` is what the state knows, None
    where that is not known: then nothing is said but of ports that open.
    """
    texts = []
    for receipt, owner in sorted(reported):
        name = _resource(owner, holder)
        if name is None or declared.get(name) == receipt:
            continue
        if _removed_by_this_run(name, owner, recorded):
            exporter = _EXPORTER.fullmatch(receipt)
            shared = any(other != owner for part, other in reported if part == receipt)
            if exporter and not shared:
                texts.append(_opens(receipt, name, exporter[1]))
        elif recorded is not None:
            texts.append(_forgotten(receipt, name))
    return texts


def _resource(owner: str, holder: str) -> str | None:
    """Return the name of the resource that an owner is of, None where it is another stack's."""
    of_stack, *rest = owner.rsplit(".", 2)
    return rest[0] if len(rest) == 2 and of_stack in (holder, without_project(holder)) else None  # noqa: PLR2004


def _removed_by_this_run(name: str, owner: str, recorded: Mapping[str, Recorded] | None) -> bool:
    if recorded is None:
        return True
    return name in recorded and without_project(recorded[name].owner) == without_project(owner)


def _opens(receipt: str, name: str, port: str) -> str:
    return (
        f"{receipt} ({name}) is no longer in the settings: its exporter is given back, and port {port} is then open as "
        f"it was before; to keep it closed, leave it in its host's exporters"
    )


def _forgotten(receipt: str, name: str) -> str:
    if key := _KEY.fullmatch(receipt):
        what = f"rotation: {key[1]}"
    elif host := _OF_A_HOST.fullmatch(receipt):
        what = f"the host {host[1]}"
    elif exporter := _EXPORTER.fullmatch(receipt):
        what = f"the exporter on port {exporter[1]}"
    else:
        what = "what it was made for"
    return (
        f"{receipt} ({name}) is this stack's by its name, and in neither its settings nor its state, so that nothing "
        f"looks after it: put {what} into the settings and run `pulumi up`, which takes it over; then take it out"
    )
