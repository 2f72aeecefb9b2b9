"""What counts as drift of a key line on a host, from its receipt and the facts of the machine alone."""

import pytest

from components import authorized_key, login_key
from components.authorized_key import line_drift
from components.drift import Finding
from components.facts import Facts, Receipt, read
from components.judge import finding
from tests.mocked import fact

NAME = "metrics-tunnel-test-mon1-1"
KEY = "AAAAC3"
LINE = f'restrict,permitopen="127.0.0.1:9100" ssh-ed25519 {KEY} {NAME}'
OTHERS = [f"restrict,port-forwarding ssh-ed25519 {KEY} metrics-tunnel-prod-mon1-1", "# a comment", "ssh-rsa BBBB bob"]
CHANGED = "the line of the key in /keys was changed"
MISSING = "the line of the key in /keys is missing"
LOOSE = "the key is not alone in /keys: it stands there in another line too, without its limits"
KEYS = "/etc/ssh/authorized_keys.d/metrics-tunnel"
CONF = "/etc/ssh/sshd_config.d/10-metrics-tunnel.conf"
PART, LOGIN_PART = f"authorized-key-{NAME}", f"login-key-ann-{NAME}"
OWNER = "shop:test.web1-authorized-key-mon1.1"
DROPIN = ["# Ours.", "Match User ours", "PermitTTY no", "MaxSessions 0", "Match all"]
VALUES = {"ID": NAME, "PART": PART}
LOGIN_VALUES = {"ID": NAME, "PART": LOGIN_PART}


def healthy() -> Facts:
    """Return the facts of a host on which all is as it was applied."""
    files = {"owners/shop:test.web1-authorized-key-mon1": f"{OWNER} 0a", "line": LINE}
    facts = Facts(receipts={PART: Receipt({**files}), LOGIN_PART: Receipt({**files})})
    facts.modes = dict.fromkeys((KEYS, CONF), "644 root")
    facts.texts.update({KEYS: [LINE], CONF: [*DROPIN]})
    facts.wanted[CONF] = DROPIN
    facts.key_files[LOGIN_PART] = "/keys"
    facts.key_lines[LOGIN_PART] = [LINE]
    return facts


def found(facts: Facts) -> Finding:
    return finding(PART, OWNER, VALUES, authorized_key.JUDGE, facts)


def found_of_login(facts: Facts) -> Finding:
    return finding(LOGIN_PART, OWNER, LOGIN_VALUES, login_key.JUDGE, facts)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([LINE], []),
        ([*OTHERS, LINE], []),
        ([], [MISSING]),
        ([""], [MISSING]),
        (OTHERS, [MISSING]),
        ([LINE.replace("9100", "22")], [CHANGED]),
        ([f"# {LINE}"], [CHANGED]),
        ([f"{LINE} "], [CHANGED]),
        ([LINE.replace(f" {NAME}", f"\t{NAME}")], [CHANGED]),
        ([LINE.replace(KEY, "AAAAD4")], [CHANGED]),
        ([LINE.replace("restrict,", "")], [CHANGED]),
        ([LINE, LINE], ["the line of the key in /keys stands there 2 times"]),
        ([LINE, LINE.replace("9100", "22")], [CHANGED]),
        ([LINE, LINE.replace("restrict,", "")], [LOOSE]),
        ([LINE, f"ssh-ed25519 {KEY} again"], [LOOSE]),
        ([f"ssh-ed25519 {KEY} again"], [MISSING, LOOSE]),
        # Another stack's name, without limits.
        ([LINE, f"ssh-ed25519 {KEY} metrics-tunnel-prod-mon1-1"], [LOOSE]),
        # Such a line sshd takes all the same, and not every awk knows it as ours when it has to go.
        ([f"{LINE}\r"], [MISSING]),
        ([f"{LINE}\x85"], [MISSING]),
        ([LINE.replace(f" {NAME}", f"\xa0{NAME}")], [MISSING, LOOSE]),
    ],
)
def test_what_is_wrong_with_our_line_is_told(lines: list[str], says: list[str]) -> None:
    assert line_drift(LINE, NAME, lines, "/keys") == says


@pytest.mark.parametrize(("lines", "says"), [([], [MISSING]), (["", "ssh-rsa B b"], [MISSING]), ([LINE], [CHANGED])])
def test_a_receipt_that_has_lost_its_line_is_drift_whatever_is_there(lines: list[str], says: list[str]) -> None:
    assert line_drift("", NAME, lines, "/keys") == says


def test_a_host_that_is_as_it_was_applied_is_in_sync() -> None:
    assert found(healthy()) == Finding("0a")
    assert found_of_login(healthy()) == Finding("0a")


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (DROPIN, []),
        # The shell that wrote it knows no blank lines at an end.
        ([*DROPIN, ""], []),
        (["# Ours.", "Match User ours", "", "\t# mine", "  PermitTTY no", *DROPIN[3:]], ["was edited"]),
        (
            ["# Ours.", "Match User ours", "PermitTTY no", "MaxSessions 10", "Match all"],
            ["says 'MaxSessions 10' instead of 'MaxSessions 0'"],
        ),
        (
            ["# Ours.", "Match User ours", "PermitTTY no", "MaxSessions\t0", "Match all"],
            ["says 'MaxSessions\t0' instead of 'MaxSessions 0'"],
        ),
        ([*DROPIN, "Banner none"], ["says 'Banner none', which is not ours"]),
        (
            ["# Ours.", "Match User *", "PermitTTY no", "MaxSessions 0", "Match all"],
            ["says 'Match User *' instead of 'Match User ours'"],
        ),
        (["Match User ours", "PermitTTY no"], ["does not say 'MaxSessions 0', 'Match all'"]),
        ([], ["does not say 'Match User ours', 'PermitTTY no', 'MaxSessions 0', 'Match all'"]),
        (["permittty yes"], ["says 'permittty yes' instead of 'PermitTTY no'", "does not say 'Match User ours', 'Max"]),
    ],
)
def test_what_a_hand_has_changed_in_the_drop_in_is_told(there: list[str], says: list[str]) -> None:
    facts = healthy()
    facts.texts[CONF] = there
    drift = found(facts).drift
    assert len(drift) == len(says)
    assert all(text.startswith(f"{CONF} {start}") for text, start in zip(drift, says, strict=True)), drift


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ([fact("mode", f"666 root {KEYS}")], [f"{KEYS} has mode and owner 666 root instead of 644 root"]),
        ([fact("mode", f"644 ann {CONF}")], [f"{CONF} has mode and owner 644 ann instead of 644 root"]),
        ([fact("said", "tunnel-user\tuser metrics-tunnel is missing")], ["user metrics-tunnel is missing"]),
        (
            [fact("mode", "644 root /var/lib/metrics-tunnel/sshd-has-to-read")],
            [f"sshd has not read {CONF} yet, as where a run was killed; it is told to"],
        ),
        ([fact("said", f"{PART}\tkept\tout")], ["kept\tout"]),
        ([fact("said", "authorized-key-of-another\tkept out")], []),
        ([fact("folder", "/etc/ssh\topen")], ["open"]),
    ],
)
def test_each_fact_of_the_host_is_drift_of_the_key(facts: list[str], says: list[str]) -> None:
    whole = healthy()
    more = read("".join(facts))
    whole.modes |= more.modes
    whole.said |= more.said
    whole.folders |= more.folders
    assert found(whole).drift == says


def test_where_sshd_cannot_read_its_configuration_that_alone_is_told_of_it() -> None:
    facts = healthy()
    facts.said.update({"sshd": ["it is invalid: line 3", "terminating"], PART: ["not obeyed"], "tunnel-user": ["gone"]})
    del facts.wanted[CONF]
    assert found(facts).drift == ["gone", "it is invalid: line 3; terminating"]


def test_a_host_that_tells_nothing_of_the_drop_in_is_not_taken_for_one_in_sync() -> None:
    facts = healthy()
    del facts.wanted[CONF]
    assert found(facts).drift
    facts = healthy()
    facts.modes.clear()
    assert found(facts).drift == [f"{CONF} is missing"]


def test_a_login_users_line_is_judged_where_the_file_could_be_read() -> None:
    facts = healthy()
    facts.key_lines[LOGIN_PART] = []
    facts.said[LOGIN_PART] = ["kept out"]
    assert found_of_login(facts).drift == ["kept out", MISSING]
    del facts.key_files[LOGIN_PART]
    assert found_of_login(facts).drift == ["kept out"]


@pytest.mark.parametrize(
    ("lines", "there"), [([LINE], True), ([f"x {NAME}"], True), ([f"{LINE}0"], False), ([], False)]
)
def test_a_line_of_our_name_without_its_receipt_is_told(lines: list[str], there: bool) -> None:
    facts = healthy()
    facts.receipts.clear()
    facts.texts[KEYS] = facts.key_lines[LOGIN_PART] = lines
    for part, finding_ in ((PART, found(facts)), (LOGIN_PART, found_of_login(facts))):
        says = f"its receipt /var/lib/metrics-tunnel/{part} is missing; it is applied again"
        assert finding_ == Finding(None, [says] if there else [])


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ssh-rsa BBBB bob", "bob"),
        ("ssh-rsa BBBB somebody else's", "else's"),
        (f"ssh-rsa BBBB {'b' * 70}", "b" * 60),
        ("ssh-rsa BBBB b\x1b[31mo\ufffdb", "b[31mob"),
        # Ours by its name alone.
        ("ssh-rsa BBBB metrics-tunnel-prod-mon1-1", "metrics-tunnel-prod-mon1-1"),
        (OTHERS[0], None),
        (" \t# ssh-rsa BBBB bob", None),
        (" ", None),
        ("", None),
        # Drift.
        (f"ssh-ed25519 {KEY} bob", None),
    ],
)
def test_a_line_that_is_not_ours_is_told_once_a_machine(line: str, name: str | None) -> None:
    facts = healthy()
    facts.texts[KEYS] = [line, LINE]
    says = f"{KEYS} has a line that is not ours, of '{name}': it is left alone, and keeps file, user and drop-in there;"
    notices = found(facts).notices
    assert [text.partition(" take")[0] for text in notices] == ([] if name is None else [says])
    assert found_of_login(facts).notices == []
    facts.receipts["authorized-key-metrics-tunnel-a"] = Receipt({"owners/x": ""})
    assert found(facts).notices == []


def test_a_letter_that_ends_a_line_elsewhere_ends_no_fact() -> None:
    facts = read(fact("text", f"{KEYS}\t{LINE}\r") + fact("text", f"{KEYS}\ta\x85b\u2028c\x0bd"))
    assert facts.texts[KEYS] == [f"{LINE}\r", "a\x85b\u2028c\x0bd"]
