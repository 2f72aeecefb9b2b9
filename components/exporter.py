"""An exporter that listens on loopback alone. The last part of a host: until here nothing was cut."""

from .machine import Machine
from .part import Part

# Drops every listen flag of the command it is given and appends ours. systemd reads `$$` as `$`.
_WRAPPER = (
    "f=web.listen-address;s=;for a;do shift;case $$s:$$a in x:*)s=;; :-$$f|:--$$f)s=x;; :-$$f=*|:--$$f=*);; "
    '*)set -- "$$@" "$$a";;esac;done;exec "$$@" --$$f=127.0.0.1:{port}'
)


def desired(port: int, path: str, unit: str) -> dict[str, str]:
    """Return the exporter's place and the wrapper of its unit's own command."""
    return {"PORT": str(port), "METRICS": path, "SERVICE": unit, "WRAPPER": _WRAPPER.format(port=port)}


def exporter(host: Machine, name: str, port: int, path: str, unit: str) -> Part:
    """Describe one exporter; `unit` is empty where it is found by its listener."""
    return Part(
        name=f"{host.name}-exporter-{name}",
        receipt=f"exporter-{port}",
        script="exporter",
        machine=host,
        values=desired(port, path, unit),
        late={},
        version=str(port),
    )
