"""What real machines of each Debian release have answered to a look: right after `up`, and after hands changed them.

`python -m tests.unit.answers_of_machines` captures them anew, as root on a machine with the lab's tools. Addresses of
the lab stand in them as 10.0.0.x.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from components.facts import Facts, read
from components.judge import finding
from components.look import Question
from components.look import asked as parts_that_are_asked
from components.payload import observation, started
from lab import base
from lab.campaign.distributions import boot
from lab.hosts import Host, temporary
from lab.project import Project, settings
from tests.mocked import deploy, fleet

FOLDER = Path(__file__).parent / "answers"
RELEASES = [str(number) for number in base.RELEASES.values()]
HANDS = {
    "mon": """
        systemctl -q stop metrics-tunnel-web11
        systemctl -q disable metrics-tunnel-web12
        mkdir -p /etc/systemd/system/metrics-tunnel-web13.service.d
        printf '[Service]\\nNice=5\\n' >/etc/systemd/system/metrics-tunnel-web13.service.d/own.conf
        systemctl daemon-reload
        echo '# mine' >>/etc/metrics-tunnel/known_hosts/web11
        chmod 666 /etc/metrics-tunnel/targets/lab/web12.json
        rm /etc/metrics-tunnel/targets/lab/web13.json
        chmod 755 /etc/metrics-tunnel/keys
        echo x >/etc/metrics-tunnel/keys/strange
        echo '[]' >/etc/metrics-tunnel/targets/lab/strange.json
        usermod -aG adm metrics-tunnel-ssh
        rm -r /var/lib/metrics-tunnel/scrape-config-web11
        for file in /var/lib/metrics-tunnel/ssh-tunnel-web12/owners/*; do : >"$file"; done
        sed -i 's/sample_limit: 15000/sample_limit: 7/' /etc/prometheus/prometheus.yml
    """,
    "web": """
        systemctl -q stop prometheus-node-exporter
        chmod 666 /etc/ssh/sshd_config.d/10-metrics-tunnel.conf
        sed -i 's/^PermitTTY no/PermitTTY yes/' /etc/ssh/sshd_config.d/10-metrics-tunnel.conf
        sed -i '/-mon11-/s/permitopen/permitlisten="localhost:2",permitopen/' /etc/ssh/authorized_keys.d/metrics-tunnel
        sed -i '/-mon12-/d' /etc/ssh/authorized_keys.d/metrics-tunnel
        echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmOVTcVQ5zuRbIFAMt0LOSTDBoTNXsJoL5Cc3FBIpvA me' \\
          >>/etc/ssh/authorized_keys.d/metrics-tunnel
        usermod -aG adm metrics-tunnel
        rm -r /var/lib/metrics-tunnel/authorized-key-*-mon13-1
    """,
}


def questions(addresses: dict[str, str]) -> dict[str, Sequence[Question]]:
    """Return what a run of a stack over all these machines asks each, by its name."""
    servers, hosts = (
        {name: {"connection": {"address": address}} for name, address in addresses.items() if name.startswith(kind)}
        for kind in HANDS
    )
    return deploy(fleet(servers, hosts), stack="lab").questions


def findings(asked: Sequence[Question], facts: Facts) -> dict[str, list[str]]:
    """Return what is said of each part that is not in sync, whichever instance's it is; a lost receipt counts, too."""
    said = {}
    for question in asked:
        receipt = facts.receipts.get(question.part)
        owner = next(receipt.owners(), question.owner) if receipt else question.owner
        found = finding(question.part, owner, question.values, question.judge, facts)
        if texts := [*found.drift, *(f"notice: {text}" for text in found.notices)]:
            said[question.part] = texts
    return said


def _capture(host: Host, asked: Sequence[Question], name: str) -> None:
    answer = host.run(started(60), text=observation(parts_that_are_asked(asked)))
    (FOLDER / f"{name}.txt").write_text(answer.replace(f"{host.lab.network}.", "10.0.0."))
    print(name, findings(asked, read(answer)))


def _main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="metrics-tunnel-", dir="/var/tmp") as folder,
        temporary(Path(folder)) as lab,
    ):
        servers, hosts = boot(lab)
        project = Project(lab.folder / "project")
        project.settings(settings(lab, servers, hosts))
        project.up()
        asked = questions({name: host.address for name, host in lab.hosts.items()})
        for name, host in lab.hosts.items():
            _capture(host, asked[name], name)
            host.run(HANDS[name[:3]])
            _capture(host, asked[name], f"{name}-after-hands")


if __name__ == "__main__":
    _main()
