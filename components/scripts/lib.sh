#!/bin/sh
# What the parts share. Functions alone: components/payload.py sends those that a verb reaches.
# A part defines preflight (may refuse, changes nothing), change (inside the lock), prove (waits, outside it), record,
# undo (after its files were put back), restore (takes everything away), check (prints drift) and present (is it there?).
# Every part's values: MACHINE, PART, STACK. Exit codes: 3 refused, nothing changed; 4 failed, put back.

main() { # apply OWNER GENERATION | remove OWNER
  begin
  OWNER=$2
  trap finish EXIT
  trap 'exit 143' HUP INT TERM
  [ "$(id -u)" = 0 ] || refuse "needs root; log in as root, or as a user who may use sudo"
  [ -d /run/systemd/system ] || refuse "no running systemd here; only machines with systemd are served"
  lock
  if [ "$1" = apply ]; then
    exclusive
    STEP=preflight
    preflight
    UNDO=$(mktemp -d "$STORE/.undo.XXXXXX") || refuse "cannot write to $STORE (no space?); make room and run again"
    STEP=change
    change
    unlock
    STEP=proof
    prove
    STEP=receipt
    record
    owned "$3"
  elif last_owner; then
    STEP=restore
    restore
    rm -rf "$RECEIPT"
    rmdir "$STORE" 2>/dev/null || :
  fi
}

begin() {
  set -eu
  umask 022
  LC_ALL=C
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  export LC_ALL PATH
  unset http_proxy https_proxy all_proxy
  STORE=/var/lib/metrics-tunnel
  RECEIPT=$STORE/$PART
  STEP=start
  UNDO=
  SAID=
}

say() { printf '%s %s: %s\n' "$MACHINE" "$PART" "$*" >&2; }

# Nothing was changed yet, or nothing may be.
refuse() {
  say "$*"
  SAID=1
  exit 3
}

# Something was changed; finish puts it back.
fail() {
  say "$*; its old state is restored"
  SAID=1
  exit 4
}

finish() {
  CODE=$?
  trap - EXIT HUP INT TERM
  set +e
  if [ $CODE != 0 ]; then
    [ -n "$SAID" ] || say "stopped at $STEP (exit $CODE); its old state is restored; run again"
    if [ -n "$UNDO" ]; then
      lock
      put_back
    fi
  fi
  [ -z "$UNDO" ] || rm -rf "$UNDO"
  rmdir "$STORE" 2>/dev/null
  exit $CODE
}

lock() {
  exec 9>>/run/metrics-tunnel.lock
  flock -w 60 9 || refuse "another run holds the lock ($(cat /run/metrics-tunnel.lock)); wait for it and run again"
  echo "pid $$ since $(date)" >/run/metrics-tunnel.lock
  mkdir -p -m 700 "$STORE" || refuse "cannot write to $STORE; see: mount, df -h, df -i" # after the wait: others take it away
}

unlock() { exec 9>&-; }

# Owners are files <stack>.<resource>.<instance>. A new instance of a resource follows the old one; another resource may not.
exclusive() {
  for O in "$RECEIPT"/owners/*; do
    case ${O##*/} in "*" | "${OWNER%.*}".*) ;; *) [ -n "${SHARED-}" ] || refuse "belongs to ${O##*/} already; take it out of that stack first" ;; esac
  done
}

owned() { # GENERATION
  mkdir -p "$RECEIPT/owners"
  rm -f "$RECEIPT/owners/${OWNER%.*}".*
  keep "owners/$OWNER" "$1"
}

# A receipt that does not name this owner is another instance's; a lost one means: undo from what is there.
last_owner() {
  [ -d "$RECEIPT/owners" ] || return 0
  [ -e "$RECEIPT/owners/$OWNER" ] || return 1
  [ "$(ls "$RECEIPT/owners")" = "$OWNER" ] || { rm "$RECEIPT/owners/$OWNER" && return 1; }
}

keep() { # NAME TEXT, into the receipt
  mkdir -p "$RECEIPT"
  printf '%s\n' "$2" >"$RECEIPT/.new"
  mv "$RECEIPT/.new" "$RECEIPT/$1"
}

kept() { cat "$RECEIPT/$1" 2>/dev/null || :; }

# Replaces a file whole where text, mode or owner differ; sets CHANGED where the text did. Remembers the old one for put_back.
put() { # PATH MODE TEXT
  if [ -e "$1" ]; then
    [ -f "$1" ] || refuse "$1 is no plain file; move it away and run again"
    [ "$(stat -c '%a %U' "$1")" = "$2 root" ] && printf '%s\n' "$3" | cmp -s - "$1" && return
  fi
  remember "$1"
  (printf '%s\n' "$3" >"$1.mt-new" && chmod "$2" "$1.mt-new" && printf '%s\n' "$3" | cmp -s - "$1.mt-new") ||
    { rm -f "$1.mt-new" && fail "cannot write $1; see: df -h, df -i, mount; then run again"; }
  printf '%s\n' "$3" | cmp -s - "$1" 2>/dev/null || CHANGED=1
  mv -f "$1.mt-new" "$1" || { rm -f "$1.mt-new" && fail "cannot replace $1; see: lsattr, mount; then run again"; }
}

remember() { # PATH
  N=$(($(ls "$UNDO" | wc -l) + 100))
  mkdir "$UNDO/$N" && printf %s "$1" >"$UNDO/$N/path" && { [ ! -e "$1" ] || cp -p "$1" "$UNDO/$N/old"; } || {
    rm -rf "${UNDO:?}/$N" # half a path or half a copy must not be put back
    refuse "cannot copy $1 to $STORE (no space?); make room and run again"
  }
}

put_back() {
  [ -n "$UNDO" ] && [ "$STEP" != preflight ] || return 0
  for D in "$UNDO"/*; do
    [ -d "$D" ] || continue
    P=$(cat "$D/path")
    if [ -e "$D/old" ]; then cp -p "$D/old" "$P.mt-new" && mv -f "$P.mt-new" "$P"; else rm -f "$P"; fi
  done
  undo
}

manifest() { # PATH... into the receipt: mode, owner and checksum of each
  keep manifest "$(for F in "$@"; do echo "$(stat -c '%a %U' "$F") $(sha256sum <"$F" | cut -c1-64) $F"; done)"
}

# Prints what differs from the manifest.
manifest_drift() {
  kept manifest | while read -r M U S F; do
    if [ ! -f "$F" ]; then
      echo "$F is missing"
    else
      [ "$(sha256sum <"$F" | cut -c1-64)" = "$S" ] || echo "$F was edited"
      W=$(stat -c '%a %U' "$F")
      [ "$W" = "$M $U" ] || echo "$F has mode and owner $W instead of $M $U"
    fi
  done
}

# One part's report to `pulumi preview`: lines of part, kind, text. Changes nothing.
observe() { # OWNER
  begin
  if [ -e "$RECEIPT/owners/$1" ]; then
    report generation "$(cat "$RECEIPT/owners/$1")"
    { manifest_drift && check; } | while IFS= read -r L; do report drift "$L"; done
  elif [ ! -d "$RECEIPT/owners" ] && present; then
    report drift "its receipt $RECEIPT is missing; it is applied again"
  else
    L=$(preflight 2>&1 >/dev/null) || report refuse "${L#"$MACHINE $PART: "}"
  fi
}

report() { printf 'metrics-tunnel\t%s\t%s\t%s\n' "$PART" "$1" "$2"; }

http_get() { # URL
  if command -v curl >/dev/null; then
    curl -fsS -m 5 "$1"
  elif command -v wget >/dev/null; then
    wget -q -T 5 -O - "$1"
  else
    timeout 6 bash -c 'u=${1#*//}; a=${u%%/*}; h=${a%:*}; h=${h#[}; exec 3<>"/dev/tcp/${h%]}/${a##*:}"
printf "GET /%s HTTP/1.0\r\nHost: %s\r\n\r\n" "${u#*/}" "$a" >&3; read -r _ c _ <&3; [ "$c" = 200 ] || exit 1
while IFS= read -r l && [ "$l" != "$(printf "\r")" ]; do :; done <&3; cat <&3' - "$1"
  fi 2>/dev/null
}

poll() { # SECONDS COMMAND...: until it is true
  N=$1
  shift
  until "$@"; do
    [ "$N" -gt 0 ] || return 1
    N=$((N - 1))
    sleep 1
  done
}

# The systemd unit of a process, from its control group.
unit_of() { # PID
  sed -n 's#.*/\([^/]*\.service\).*#\1#p' "/proc/$1/cgroup" | head -n 1
}

# A property of a unit.
shows() { systemctl show -p "$2" --value -- "$1"; }

# Prints what keeps a unit from running as its file says.
unit_drift() { # UNIT
  case $(shows "$1" UnitFileState) in enabled) ;; masked*) echo "$1 is masked" ;; *) echo "$1 is not enabled" ;; esac
  case $(shows "$1" ActiveState) in inactive | failed | deactivating) echo "$1 is stopped" ;; esac
}

# Sets PID, UNIT, CONFIG and URL of the one Prometheus, from SERVICE, CONFIG and URL where they are given.
find_prometheus() {
  PID=
  if [ -n "$SERVICE" ]; then
    PID=$(shows "$SERVICE" MainPID)
    [ "${PID:-0}" != 0 ] || refuse "$SERVICE is not running; start it"
  else
    for P in /proc/[0-9]*; do
      [ "$(cat "$P/comm" 2>/dev/null)" = prometheus ] || continue
      [ -z "$PID" ] || refuse "two Prometheus run here; say which: service"
      PID=${P#/proc/}
    done
    [ -n "$PID" ] || refuse "Prometheus is not running here; install or start it, or give service"
  fi
  UNIT=$(unit_of "$PID")
  [ -n "$UNIT" ] || refuse "Prometheus (pid $PID) is no systemd service, perhaps in a container; that is not served"
  if [ -z "$URL" ]; then
    W=$(flag web.listen-address)
    URL=http://127.0.0.1:${W##*:}
    [ -n "$W" ] || URL=http://127.0.0.1:9090
    W=$(flag web.external-url)
    case $W in *://*/?*) URL=$URL/${W#*://*/} ;; esac
    URL=${URL%/}
  fi
  if [ -z "$CONFIG" ]; then
    CONFIG=$(flag config.file)
    [ -n "$CONFIG" ] || CONFIG=$(http_get "$URL/api/v1/status/flags" | sed -n 's/.*"config.file":"\([^"]*\)".*/\1/p')
    [ -n "$CONFIG" ] || refuse "Prometheus does not answer on $URL; give url and configFile"
    case $CONFIG in /*) ;; *) CONFIG=$(readlink "/proc/$PID/cwd")/$CONFIG ;; esac
  fi
  CONFIG=$(readlink -f "$CONFIG")
}

# A flag of the running Prometheus.
flag() { tr '\0' '\n' <"/proc/$PID/cmdline" | sed -n "s/^--*$1=//p;/^--*$1\$/{n;p;}" | tail -n 1; }

# The job as Prometheus runs it, from its API.
running_job() {
  http_get "$URL/api/v1/status/config" | sed 's/\\n/\n/g' | sed -n "/^- job_name: $JOB\$/,/^- \|^[a-z\"]/{/^- job_name: $JOB\$/p;/^ /p;}"
}
