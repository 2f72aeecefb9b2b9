"""What counts as drift, from a receipt and the facts of a machine alone."""

import time

import pytest

from components import keypair, ssh_tunnel, tunnel_watchdog
from components.drift import Finding
from components.facts import Facts, Receipt, read
from components.judge import Judge, files, finding, folders, unit
from tests.mocked import fact

PATH = "/etc/metrics-tunnel/known_hosts/web1"
SUM, OTHER = "a" * 64, "b" * 64
OWNER = "shop:prod.web1-ssh-tunnel.1"
NAME = "metrics-tunnel-web1.service"
HEALTHY = {"UnitFileState": "enabled", "ActiveState": "active", "DropInPaths": ""}


def receipt(**held: str) -> Receipt:
    return Receipt(
        {"owners/shop:prod.web1-ssh-tunnel": f"{OWNER} 0a", "manifest": f"644 root {PATH}\n{SUM}  {PATH}", **held}
    )


@pytest.mark.parametrize(
    ("mode", "checksum", "says"),
    [
        ("644 root", SUM, []),
        ("644 root", OTHER, [f"{PATH} was edited"]),
        ("600 root", SUM, [f"{PATH} has mode and owner 600 root instead of 644 root"]),
        ("644 ann", OTHER, [f"{PATH} has mode and owner 644 ann instead of 644 root", f"{PATH} was edited"]),
        # A folder in its place has a mode and no checksum.
        ("755 root", None, [f"{PATH} is missing"]),
        (None, None, [f"{PATH} is missing"]),
    ],
)
def test_a_file_is_compared_with_the_manifest(mode: str | None, checksum: str | None, says: list[str]) -> None:
    facts = Facts(modes={PATH: mode} if mode else {}, checksums={PATH: checksum} if checksum else {})
    assert files(receipt(), facts) == says


@pytest.mark.parametrize(("seen", "says"), [(SUM, []), (OTHER, ["/etc/node\\x2d.conf was edited"])])
def test_a_path_with_a_backslash_is_that_whose_backslash_sha256sum_has_doubled(seen: str, says: list[str]) -> None:
    path, doubled = "/etc/node\\x2d.conf", "/etc/node\\\\x2d.conf"
    held = Receipt({"manifest": f"644 root {path}\n\\{SUM}  {doubled}"})
    facts = read(fact("mode", f"644 root {path}") + fact("checksum", f"\\{seen}  {doubled}"))
    assert (held.paths, files(held, facts)) == ([path], says)
    assert files(held, Facts()) == [f"{path} is missing"]


@pytest.mark.parametrize("line", ["", "644", "644 root", SUM[:40]])
def test_a_manifest_that_was_cut_short_is_told(line: str) -> None:
    facts = Facts(modes={PATH: "644 root"}, checksums={PATH: SUM})
    whole = f"644 root {PATH}\n{SUM}  {PATH}"
    assert files(receipt(), facts) == []
    says = ["the list of its files in its receipt is damaged; it is written anew"]
    assert files(receipt(manifest=f"{whole}\n{line}"), facts) == (says if line else [])


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ({}, []),
        ({"UnitFileState": "disabled"}, ["is not enabled; it is enabled again"]),
        ({"UnitFileState": ""}, ["is not enabled; it is enabled again"]),
        ({"UnitFileState": "masked-runtime"}, ["is masked; it gets its file back and is started"]),
        ({"ActiveState": "failed"}, ["is stopped; it is started again"]),
        ({"ActiveState": "deactivating"}, ["is stopped; it is started again"]),
        ({"ActiveState": "activating"}, []),
        ({"DropInPaths": "/etc/systemd/system/service.d/10-all.conf"}, []),
        (
            {"DropInPaths": f"/run/{NAME}.d/a.conf /etc/systemd/system/{NAME}.d/b.conf"},
            [f"is overridden by /run/{NAME}.d/a.conf /etc/systemd/system/{NAME}.d/b.conf; that goes, with its folder"],
        ),
        (
            {"DropInPaths": "/etc/systemd/system/metrics-.service.d/a.conf"},
            ["is overridden by /etc/systemd/system/metrics-.service.d/a.conf"],
        ),
    ],
)
def test_a_unit_runs_as_its_file_says_or_that_is_told(shown: dict[str, str], says: list[str]) -> None:
    assert unit(NAME, Facts(units={NAME: HEALTHY | shown})) == [f"{NAME} {text}" for text in says]


def test_a_unit_of_which_systemd_tells_nothing_is_neither_enabled_nor_running() -> None:
    assert len(unit(NAME, Facts())) == 2


def test_a_folder_is_told_by_each_part_that_has_something_below_it_and_by_no_other() -> None:
    facts = Facts(folders={"/etc/metrics-tunnel/keys": "open", "/etc": "open to all"})
    assert folders(["/etc/metrics-tunnel/keys/k"], facts) == ["open", "open to all"]
    assert folders([PATH], facts) == ["open to all"]
    assert (
        folders(
            ["/etc/metrics-tunnel/keys-of-others/k", "/var/lib/x"], Facts(folders={"/etc/metrics-tunnel/keys": "x"})
        )
        == []
    )


@pytest.mark.parametrize(
    ("held", "generation", "damaged"),
    [
        ({f"owners/{OWNER[:-2]}": f"{OWNER} 0a1b"}, "0a1b", False),
        # As a release that named no project has written it.
        ({"owners/prod.web1-ssh-tunnel": "prod.web1-ssh-tunnel.1 0a1b"}, "0a1b", False),
        ({f"owners/{OWNER[:-2]}": f"{OWNER[:-1]}2 0a1b"}, None, False),
        ({f"owners/{OWNER[:-2]}": ""}, None, True),
        ({f"owners/{OWNER[:-2]}": OWNER[:9]}, None, True),
        ({"owners/prod.web1-ssh-tunnel": "prod.web1"}, None, True),
        ({"owners/shop:prod.web1-ssh": "shop:prod.web1-ssh.1 0a"}, None, False),
        ({}, None, False),
    ],
)
def test_who_has_applied_a_part_is_read_from_its_receipt(
    held: dict[str, str], generation: str | None, damaged: bool
) -> None:
    assert (Receipt(held).generation(OWNER), Receipt(held).damaged(OWNER)) == (generation, damaged)


def test_a_lost_or_damaged_receipt_is_told_and_another_owners_is_not() -> None:
    there = Judge(present=lambda _values, _facts: True)
    part = "ssh-tunnel-web1"
    lost = Finding(None, ["its receipt /var/lib/metrics-tunnel/ssh-tunnel-web1 is missing; it is applied again"])
    assert finding(part, OWNER, {}, there, Facts()) == lost
    assert finding(part, OWNER, {}, Judge(), Facts()) == Finding()
    others = Facts(receipts={part: Receipt({"owners/shop:test.web1-ssh-tunnel": "shop:test.web1-ssh-tunnel.1 0a"})})
    assert finding(part, OWNER, {}, there, others) == Finding()


def test_folders_come_first_then_files_and_what_is_a_parts_own() -> None:
    facts = Facts(receipts={"p": receipt()}, folders={"/var/lib": "open"})
    judge = Judge(drift=lambda _values, _receipt, _facts: ["judged"], notices=lambda _values, _facts: ["seen"])
    found = finding("p", OWNER, {}, judge, facts)
    assert found == Finding("0a", ["open", f"{PATH} is missing", "judged"], [], ["seen"])


KEY = "/etc/metrics-tunnel/keys/metrics-tunnel-prod-mon1-1"


@pytest.mark.parametrize(
    ("checksums", "manifest", "says"),
    [
        ({KEY: SUM}, f"600 root {KEY}\n{SUM}  {KEY}", []),
        ({}, f"{SUM}  {KEY}", [f"there is no private key in {KEY}; a new one is made"]),
        ({KEY: keypair._OF_NOTHING}, f"{SUM}  {KEY}", [f"there is no private key in {KEY}; a new one is made"]),
        ({KEY: OTHER}, f"{SUM}  {KEY}", [f"where {KEY} holds no private key any more, a new one is made"]),
    ],
)
def test_a_key_that_is_gone_or_changed_is_told(checksums: dict[str, str], manifest: str, says: list[str]) -> None:
    end = ", unless tunnelPrivateKey gives it, and each host gets it"
    found = keypair.JUDGE.drift({"KEY": KEY}, Receipt({"manifest": manifest}), Facts(checksums=checksums))
    assert found == [f"{text}{end}" for text in says]


def test_a_file_beside_ours_that_no_receipt_names_is_told() -> None:
    folder = "/etc/metrics-tunnel/known_hosts"
    facts = Facts(
        receipts={"k": Receipt({"manifest": f"{SUM}  {KEY}"}), "t": receipt()},
        modes=dict.fromkeys(
            (
                KEY,
                PATH,
                f"{folder}/db1",
                f"{folder}/db2",
                f"{folder}/db3.mt-old",
                "/etc/metrics-tunnel/targets/prod/x.json",
                "/etc/systemd/system/metrics-tunnel-db2.service",
            ),
            "644 root",
        ),
    )
    says = "is not from here: no receipt names it; it is left alone, look whose it is"
    assert keypair.JUDGE.notices({"KEY": KEY}, facts) == [f"{folder}/db1 {says}"]


@pytest.mark.parametrize(
    ("users", "says"),
    [
        ({"metrics-tunnel-ssh": ["metrics-tunnel-ssh"]}, []),
        ({}, ["user metrics-tunnel-ssh is missing; it is made anew, and all tunnels start again as it"]),
        (
            {"metrics-tunnel-ssh": ["users", "adm"]},
            ["user metrics-tunnel-ssh is in the groups users adm instead of its own alone; it is put there"],
        ),
    ],
)
def test_the_tunnels_user_is_there_in_its_own_group(users: dict[str, list[str]], says: list[str]) -> None:
    facts = Facts(users=users, units={"metrics-tunnels-watchdog.service": HEALTHY})
    assert tunnel_watchdog.JUDGE.drift({}, Receipt(), facts) == says


def thousand() -> str:
    """Return what a server of a thousand hosts answers."""
    lines = []
    for number in range(1000):
        name = f"web{number}"
        unit_file, pinned = f"/etc/systemd/system/metrics-tunnel-{name}.service", f"{PATH[:-4]}{name}"
        part, owner = f"ssh-tunnel-{name}", f"shop:prod.{name}-ssh-tunnel"
        lines += [fact(kind, f"{part}/owners/{owner}\t{owner}.1 0a") for kind in ("receipt", "later")]
        for path in (unit_file, pinned):
            lines += [fact("receipt", f"{part}/manifest\t{text}") for text in (f"644 root {path}", f"{SUM}  {path}")]
            lines += [fact("mode", f"644 root {path}"), fact("checksum", f"{SUM}  {path}")]
        shown = {"Id": f"metrics-tunnel-{name}.service", **HEALTHY}
        lines += [fact("unit", f"{key}={value}") for key, value in shown.items()]
    return "".join(lines)


def test_what_a_server_of_a_thousand_hosts_answers_is_judged_in_no_time() -> None:
    began = time.process_time()
    facts = read(thousand())
    found = [
        finding(
            f"ssh-tunnel-web{number}",
            f"shop:prod.web{number}-ssh-tunnel.1",
            {"HOST": f"web{number}"},
            ssh_tunnel.JUDGE,
            facts,
        )
        for number in range(1000)
    ]
    assert found == [Finding("0a")] * 1000
    assert time.process_time() - began < 2, "it was 0.1 s where this was written"
