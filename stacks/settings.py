"""Checks a stack's settings as a whole before any connection. The only reader of `pulumi.Config`."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi
from pulumi.runtime import get_config_env, is_config_secret
from pydantic import ValidationError

from components import ConnectionArgs, MonitoredHostArgs, PrometheusServerArgs, rules
from components.wording import path

from . import across, wording
from .credentials import Credentials, credentials, secrets
from .known_hosts import host_key
from .models import (
    BastionSettings,
    HostSettings,
    MachineSettings,
    ServerSettings,
    Whole,
    job_of,
    keys_at,
    listen_of,
    servers_of,
)

_NAMESPACE = "metrics-tunnel"


@dataclass(frozen=True)
class Settings:
    """What the components take. `servers_of` names the servers of each host."""

    servers: dict[str, PrometheusServerArgs]
    hosts: dict[str, MonitoredHostArgs]
    servers_of: dict[str, list[str]]


def load() -> Settings:
    """Read the stack's settings. Raises pulumi.RunError with every error at once."""
    config = pulumi.Config(_NAMESPACE)
    plain_secrets, errors = secrets(config)
    raw, unreadable = _raw(config)
    whole, wrong = (None, unreadable) if unreadable else check(raw)
    login = Credentials({})
    if whole:
        login, wrong = credentials(whole, plain_secrets)
    errors += [*wrong, *_elsewhere()]
    if whole is None or errors:
        file = f"stacks/Pulumi.{pulumi.get_stack()}.yaml"
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        lines = wording.without(list(plain_secrets.values()), errors)
        raise pulumi.RunError(f"{count} in {file}; no machine was contacted:\n  " + "\n  ".join(lines))
    return arguments(whole, login)


def _raw(config: pulumi.Config) -> tuple[dict[str, Any], list[str]]:
    """Return the settings as they were written, and the errors of what cannot be looked into."""
    raw: dict[str, Any] = {}
    errors = []
    for key in _keys():
        text = config.get(key)
        if key not in keys_at(()):
            raw[key] = None
        elif is_config_secret(config.full_key(key)):
            errors.append(
                f"{key}: holds an encrypted value, which would stand plainly in the state; write it as it is, and keep "
                f"secrets in the keys made for them: {', '.join(wording.SECRETS)}"
            )
        elif text:
            try:
                raw[key] = json.loads(text)
            except (ValueError, RecursionError):
                raw[key] = text
    return raw, errors


def _elsewhere() -> list[str]:
    """Return the errors of keys in a namespace that is nearly ours, which would be missed without a word."""
    return [
        f"{path([space])}:{shown}: is in another namespace; write {_NAMESPACE}:{shown}"
        for space, key in _set()
        if space != _NAMESPACE and difflib.get_close_matches(space, [_NAMESPACE], 1, 0.8)
        for shown in [path([key])]
    ]


def _set() -> list[tuple[str, str]]:
    """Return the namespace and key of all that the stack's file sets."""
    names = [name.partition(":") for name in get_config_env()]
    return [(space, key) for space, _, key in names]


def _keys() -> list[str]:
    """Return the keys of the namespace that are known or set, without the secrets."""
    written = {key for space, key in _set() if space == _NAMESPACE}
    return [*keys_at(()), *sorted(written - {*keys_at(()), *wording.SECRETS})]


def check(raw: Mapping[str, Any]) -> tuple[Whole | None, list[str]]:
    """Return the checked settings, or None, with every error: path, value, rule and remedy."""
    try:
        whole = Whole.model_validate(raw)
    except ValidationError as error:
        return None, [wording.line(dict(details)) for details in error.errors()]
    errors = list(across.errors(whole))
    return (None if errors else whole), errors


def arguments(whole: Whole, login: Credentials) -> Settings:
    """Turn checked settings into the components' arguments."""
    servers = {name: _server(whole, server, login) for name, server in whole.prometheus.items()}
    hosts = {name: _host(whole, name, host, login) for name, host in whole.hosts.items()}
    if not hosts:
        pulumi.log.warn(
            "hosts: there are none; those that were here are given back, their exporters open to the network"
        )
    for place, machine in whole.logins():
        if machine.insecure_host_key:
            pulumi.log.warn(f"{place}.insecureHostKey: whoever answers at {machine.address} gets root's commands")
    return Settings(servers, hosts, {name: servers_of(whole, host) for name, host in whole.hosts.items()})


def _server(whole: Whole, server: ServerSettings, login: Credentials) -> PrometheusServerArgs:
    interval = whole.scrape.interval
    args: dict[str, Any] = {
        **server.model_dump(include={"config_file", "service", "url", "egress", "offline"}, exclude_none=True),
        "connection": _connection(whole, server, login),
        "rotation": whole.rotation,
        "detect_drift": whole.detect_drift,
        "scrape_interval": interval,
        "scrape_timeout": whole.scrape.timeout or rules.default_timeout(interval),
    }
    if whole.scrape.sample_limit is not None:
        args["sample_limit"] = whole.scrape.sample_limit
    if login.tunnel_private_key is not None:
        args["private_key"] = login.tunnel_private_key
    return cast("PrometheusServerArgs", args)


def _host(whole: Whole, name: str, host: HostSettings, login: Credentials) -> MonitoredHostArgs:
    exporters = {
        key: exporter.model_dump(exclude_none=True)
        | {"listen": listen_of(name, host, exporter), "job": job_of(whole, key, exporter)}
        for key, exporter in host.exporters.items()
    }
    args = {
        **host.model_dump(include={"labels", "login", "offline", "abandoned"}, exclude_none=True),
        "connection": _connection(whole, host, login),
        "exporters": exporters,
        "detect_drift": whole.detect_drift,
    }
    return cast("MonitoredHostArgs", args)


def _connection(whole: Whole, machine: MachineSettings, login: Credentials) -> ConnectionArgs:
    args = _login(whole, machine, login)
    if login.sudo_password is not None:
        args["sudo_password"] = login.sudo_password
    if machine.bastion:
        args["bastion"] = _login(whole, machine.bastion, login)
    return cast("ConnectionArgs", args)


def _login(whole: Whole, machine: BastionSettings, login: Credentials) -> dict[str, Any]:
    args: dict[str, Any] = {"address": machine.address, "user": machine.user or whole.ssh.user}
    if machine.local:
        return args
    args["port"] = machine.port
    key = host_key(machine)
    pinned = {"insecure_host_key": True} if key is None else {"host_key": key}
    return {**args, **pinned, **login.by_file[machine.private_key_path]}
