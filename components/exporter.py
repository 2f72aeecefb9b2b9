"""An exporter that listens on loopback alone. The last part of a host: until here nothing was cut."""

from .machine import Machine
from .part import Part

# Drops every listen flag of the command it is given and appends ours. systemd reads `$$` as `$`.
_WRAPPER = (
    "n=$$#; while [ $$n -gt 0 ]; do a=$$1; shift; n=$$((n-1)); case $$a in "
    "-web.listen-address|--web.listen-address) shift; n=$$((n-1));; "
    "-web.listen-address=*|--web.listen-address=*) ;; "
    '*) set -- "$$@" "$$a";; esac; done; exec "$$@" --web.listen-address=127.0.0.1:{port}'
)


def desired(name: str, port: int, path: str, unit: str) -> dict[str, str]:
    """Return the exporter's place and the wrapper of its unit's own command."""
    return {"NAME": name, "PORT": str(port), "METRICS": path, "SERVICE": unit, "WRAPPER": _WRAPPER.format(port=port)}


def exporter(host: Machine, name: str, port: int, path: str, unit: str) -> Part:
    """Describe one exporter; `unit` is empty where it is found by its listener."""
    return Part(
        name=f"{host.name}-exporter-{name}",
        receipt=f"exporter-{name}",
        script="exporter",
        machine=host,
        values=desired(name, port, path, unit),
        late={},
    )
