#!/bin/sh
# On a server: one marked block in prometheus.yml, a job that reads a folder of target files.
# Values: JOB, BLOCK (items, not indented), CONFIG, SERVICE, URL (empty: found).

# Sets PID, UNIT, CONFIG and URL of the one Prometheus, from SERVICE, CONFIG and URL where they are given.
find_prometheus() {
  BEGIN="^ *# BEGIN metrics-tunnel $STACK\( joined\)*\$"
  END="^ *# END metrics-tunnel $STACK\$"
  if [ -n "$SERVICE" ]; then
    PID=$(shows $SERVICE MainPID)
  else
    PID=$(cd /proc && grep -lsx prometheus [0-9]*/comm | cut -d/ -f1)
  fi
  case $PID in
  '' | 0) fail "Prometheus does not run here; start it, or give service" ;;
  *[!0-9]*) fail "two Prometheus run here; say which: service" ;;
  esac
  UNIT=$(unit_of $PID)
  [ -n "$UNIT" ] || fail "Prometheus (pid $PID) is no systemd service; run it as one"
  if [ -z "$URL" ]; then
    W=$(flag web.listen-address)
    W=${W:-:9090}
    URL=http://127.0.0.1:${W##*:}
    W=$(flag web.external-url)
    case $W in *://*/?*) URL=$URL/${W#*://*/} ;; esac
    URL=${URL%/}
  fi
  if [ -z "$CONFIG" ]; then
    CONFIG=$(http_get "$URL/api/v1/status/flags" | sed -n 's/.*"config.file":"\([^"]*\)".*/\1/p')
    [ -n "$CONFIG" ] || fail "Prometheus does not answer on $URL; give url and configFile"
  fi
  CONFIG=$(cd /proc/$PID/cwd && readlink -f "$CONFIG")
}

# A flag of the running Prometheus.
flag() { tr '\0' '\n' </proc/$PID/cmdline | sed -n "s/^--*$1=//p;/^--*$1\$/{n;p;}" | tail -n 1; }

preflight() {
  find_prometheus
  command -v promtool >/dev/null || fail "no promtool; install it here"
  valid "$CONFIG" || fail "$CONFIG is invalid already: $W"
  case $(grep -ac "$BEGIN" "$CONFIG"),$(block | tail -n 1) in
  0, | 1,*"# END metrics-tunnel $STACK") ;;
  *) fail "$CONFIG: the marks of metrics-tunnel $STACK are damaged; delete its block" ;;
  esac
  case $(sed -n 's/#.*//;s/[[:space:]]*$//;/^scrape_configs:/p' "$CONFIG") in
  '' | scrape_configs:) ;;
  *) fail "$CONFIG: scrape_configs is no block list; give each item a line" ;;
  esac
}

valid() { # FILE; else W says why
  W=$(promtool check config "$1" 2>&1) || { W=$(echo "$W" | tail -n 2 | tr '\n' ' ') && false; }
}

change() {
  mkdir -p /etc/metrics-tunnel/targets/$STACK
  base
  W=$(with_block "$N" && echo x)
  printf %s "${W%x}" >"$N"
  W=$(kept running)
  [ -n "$W" ] && [ "$(running_job)" = "$W" ] && cmp -s "$N" "$CONFIG" || swap
}

# Begins the candidate, with mode and owner.
base() {
  N=$CONFIG.mt-new
  remember "$CONFIG"
  cp -p "$CONFIG" "$N"
  without_block >"$N"
}

# Puts the candidate in place, which promtool must like, and waits until Prometheus has read it.
swap() {
  valid "$N" || fail "promtool refuses $CONFIG as it would be: $W"
  cmp -s "$N" "$CONFIG" || mv -f "$N" "$CONFIG"
  START=$(date +%s)
  undo
  poll 30 loaded || fail "Prometheus did not load $CONFIG; see: journalctl -u $UNIT"
}

loaded() {
  http_get "$URL/metrics" | awk -v s="$START" '/^prometheus_config_last_reload_success_t/{f=$2>=s}END{exit !f}' &&
    case $(block):$(running_job) in :?* | ?*:) false ;; esac
}

undo() { kill -HUP $PID; }

# The job as Prometheus runs it, from its API.
running_job() {
  http_get "$URL/api/v1/status/config" | sed 's/\\n/\n/g' | sed -n "/^- job_name: $JOB\$/,/^- \|^[a-z\"]/{/^- job_name: $JOB\$/p;/^ /p;}"
}

block() { sed -n "/$BEGIN/,/$END/p" "$CONFIG"; }

# The file without our block, byte for byte; "joined" says that the line before had no end.
without_block() {
  sed "/$BEGIN/,/$END/d" "$CONFIG" | if block | grep -aq joined; then head -c -1; else cat; fi
}

with_block() { # FILE
  # Items of one list stand at one indent.
  I=$(sed -n '/^scrape_configs:/,${/^ *- /{s/-.*//p;q;};}' "$1")
  A=/^scrape_configs:/
  K=
  J=
  grep -aq ^scrape_configs: "$1" || { A=$ K=scrape_configs:; }
  # sed ends the last line where the block comes after it.
  [ -z "$(tail -c 1 "$1")" ] || case $A$(tail -n 1 "$1") in "$"* | *:scrape_configs:* | */scrape_configs:*) J=' joined' ;; esac
  {
    echo "$I# BEGIN metrics-tunnel $STACK$J"
    [ -z "$K" ] || echo "$K"
    echo "$BLOCK" | sed "s/^/$I/"
    echo "$I# END metrics-tunnel $STACK"
  } | if [ -s "$1" ]; then sed "${A}r /dev/stdin" "$1"; else cat; fi
}

record() {
  keep url "$URL"
  keep block "$(block)"
  keep running "$(running_job)"
}

restore() {
  find_prometheus
  base
  swap
  rmdir -p /etc/metrics-tunnel/targets/$STACK 2>/dev/null || :
}

present() { (find_prometheus) 2>/dev/null && find_prometheus && [ -n "$(block)" ]; }

check() {
  (find_prometheus) || return 0
  find_prometheus
  if [ -z "$(block)" ]; then
    echo "the job's block is missing from $CONFIG"
  elif [ "$(block)" != "$(kept block)" ]; then
    echo "the job's block in $CONFIG was edited"
  fi
  [ "$(running_job)" = "$(kept running)" ] || echo "Prometheus runs without the job $JOB as it was loaded"
}
