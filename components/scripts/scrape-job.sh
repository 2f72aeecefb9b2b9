#!/bin/sh
# On a server: one marked block in prometheus.yml, a job that reads a folder of target files.
# Values: JOB, BLOCK (items, not indented), CONFIG, SERVICE, URL (empty: found).

# Sets PID, UNIT, CONFIG and URL of the one Prometheus, from SERVICE, CONFIG and URL where they are given.
find_prometheus() {
  PID=$(running)
  case $PID in
  '') fail "Prometheus does not run here; start it or give service" ;;
  *[!0-9]*) fail "two Prometheus run here; give service" ;;
  esac
  UNIT=$(unit_of $PID)
  [ -n "$UNIT" ] || fail "Prometheus is no systemd service; run it as one"
  if [ -z "$URL" ]; then
    W=$(flag web.listen-address)
    W=${W:-:9090}
    case ${W%:*} in '' | 0.0.0.0 | '[::]') W=127.0.0.1:${W##*:} ;; esac
    P=$(flag web.route-prefix)
    if [ -z "$P" ]; then
      P=$(flag web.external-url)
      case $P in *://*/*) P=${P#*://*/} ;; *://*) P= ;; esac
    fi
    P=${P#/}
    URL=http://$W${P:+/${P%/}}
  fi
  if [ -z "$CONFIG" ]; then
    CONFIG=$(http_get "$URL/api/v1/status/flags" | sed -n 's/.*"config.file":"\([^"]*\)".*/\1/p')
    [ -n "$CONFIG" ] || fail "Prometheus does not answer on $URL; give url and configFile"
  fi
  CONFIG=$(cd /proc/$PID/cwd && readlink -f "$CONFIG")
  case $CONFIG in *[[:space:]*?\\[]*) fail "$CONFIG: move it to a path without blanks or *?[\\" ;; esac
}

# Pids of Prometheus.
running() {
  if [ -n "$SERVICE" ]; then
    shows $SERVICE MainPID | sed 's/^0$//'
  else
    cd /proc && grep -lsx prometheus [0-9]*/comm | cut -d/ -f1
  fi
}

# A flag of the running Prometheus.
flag() { tr '\0' '\n' </proc/$PID/cmdline | sed -n "s/^--*$1=//p;/^--*$1\$/{n;p;}" | tail -n 1; }

preflight() {
  find_prometheus
  command -v promtool >/dev/null || fail "no promtool; install it here"
  [ -f "$CONFIG" ] || fail "$CONFIG does not exist; correct configFile, or leave it out"
  valid "$CONFIG" || fail "$CONFIG is invalid, mend it: $W"
  marks
  fits
  ! grep -aq '^scrape_configs:[[:space:]]*[^#[:space:]]' "$CONFIG" || fail "$CONFIG: scrape_configs is no block list; make it one"
}

# Refuses a limit that would blind a target which is up.
fits() {
  A=$(block | sed -n 's/.*sample_limit: //p')
  L=$(echo "$BLOCK" | sed -n 's/.*sample_limit: //p')
  [ "${A:-0}" -gt "$L" ] 2>/dev/null || return 0
  W=$(ls /etc/metrics-tunnel/targets/$STACK 2>/dev/null | sed -n 's/.json$/%7C/p' | tr -d '\n')
  W=$(http_get "$URL/api/v1/query?query=scrape_samples_post_metric_relabeling%7Binstance=~%22${W%???}%22%7D%3E$L+and+up==1" |
    sed 's/{"metric/\n&/g' | sed -n 's/.*"instance":"\([^"]*\)".*,"\([0-9]*\)"\].*/\1 brings \2/p' | paste -sd ,)
  [ -z "$W" ] || fail "$W samples, more than $L; raise scrape.sampleLimit"
}

# Refuses a file from which our block cannot be taken whole.
marks() {
  case $(grep -acE "# BEGIN $JOB( joined)?$" "$CONFIG"),$(block | tail -n 1) in
  0,) ! grep -aq "^ *- job_name: ${JOB}[[:space:]]*$" "$CONFIG" || fail "$CONFIG: the job $JOB has lost its marks; delete that job" ;;
  1,*"# END $JOB") ;;
  *) fail "$CONFIG: the marks of $JOB are damaged; delete its block" ;;
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
  without_unknown
  W=$(kept running)
  [ -n "$W" ] && [ "$(running_job)" = "$W" ] && cmp -s "$N" "$CONFIG" || swap
}

# Begins the candidate, with mode and owner.
base() {
  marks
  N=$CONFIG.mt-new
  remember "$CONFIG"
  cp -p "$CONFIG" "$N"
  without_block >"$N"
}

# An old Prometheus does not know every limit of ours.
without_unknown() {
  W=$(promtool check config "$N" 2>&1) || sed -i "$(echo "$W" | sed -n 's/.*line \([0-9]*\): field [a-z_]* not found.*/\1d/p')" "$N"
}

# Puts the candidate in place, which promtool must like, and waits until Prometheus has read it.
swap() {
  valid "$N" || fail "promtool refuses our change: $W"
  cmp -s "$N" "$CONFIG" || mv -f "$N" "$CONFIG" || fail "cannot replace $CONFIG; if it is a mount of its own, mount its folder instead"
  label "$CONFIG"
  START=$(date +%s)
  kill -HUP $PID
  poll 30 loaded || fail "Prometheus did not load $CONFIG; see: journalctl -u $UNIT"
}

loaded() {
  http_get "$URL/metrics" | awk -v s="$START" '/^prometheus_config_last_reload_success_t/{f=$2>=s}END{exit !f}' &&
    case $(block):$(running_job) in :?* | ?*:) false ;; esac
}

undo() {
  [ -d $RECEIPT ] || leave
  [ -z "${PID-}" ] || kill -HUP $PID
}

# The job as Prometheus runs it, from its API.
running_job() {
  http_get "$URL/api/v1/status/config" | job_in
}

job_in() {
  sed 's/\\n/\n/g' | sed -n "/^- job_name: $JOB\$/,/^- \|^[a-z\"]/{/^- job_name: $JOB\$/p;/^ /p;}"
}

block() { range p -n; }

range() { sed $2 "/^ *# BEGIN $JOB\( joined\)*\$/,/^ *# END $JOB\$/$1" "$CONFIG"; }

# The file without our block, byte for byte; "joined" says that the line before had no end. Where the list begins in
# our block and goes on behind it, its first line stays.
without_block() {
  HOW=d
  if block | grep -q ^scrape_configs: && sed "1,/^ *# END $JOB\$/d;/^ *#/d;/^ *\$/d" "$CONFIG" | head -n 1 | grep -q '^ *- '; then HOW='c\
scrape_configs:'; fi
  range "$HOW" '' | if block | grep -aq joined; then head -c -1; else cat; fi
}

with_block() { # FILE
  # Items of one list stand at one indent.
  I=$(sed -n '/^scrape_configs:/,${/^ *- /{s/-.*//p;q;};}' "$1")
  A=/^scrape_configs:/
  K=
  J=
  # The list may begin in another stack's block.
  W=$(sed -n '/^# BEGIN metrics-tunnel-/{N;/\nscrape_configs:/{s/\n.*//;s/# BEGIN //;s/ joined$//;p;};}' "$1")
  [ -z "$W" ] || A="/^# END $W\$/"
  grep -aq ^scrape_configs: "$1" || { A=$ K=scrape_configs:; }
  # sed ends the last line where the block comes after it.
  [ -z "$(tail -c 1 "$1")" ] || case $A$(tail -n 1 "$1") in "$"* | */scrape_configs:*) J=' joined' ;; esac
  {
    echo "$I# BEGIN $JOB$J"
    [ -z "$K" ] || echo "$K"
    echo "$BLOCK" | sed "s/^/$I/"
    echo "$I# END $JOB"
  } | if [ -s "$1" ]; then sed "${A}r /dev/stdin" "$1"; else cat; fi
}

record() {
  keep url "$URL"
  keep config "$CONFIG"
  keep block "$(block)"
  keep running "$(running_job)"
}

restore() {
  W=$(kept config)
  if [ -n "$W" ] && [ -z "$(running)" ]; then
    # There is nobody to tell.
    CONFIG=$W
    [ ! -e "$W" ] || { base && mv "$N" "$W"; }
  else
    find_prometheus
    base
    swap
  fi
  leave
}

leave() { rmdir -p /etc/metrics-tunnel/targets/$STACK 2>/dev/null || :; }

present() { (find_prometheus) 2>/dev/null && find_prometheus && [ -n "$(block)" ]; }

# A Prometheus that does not answer is health; what stands in its file is told all the same.
check() {
  CONFIG=$(kept config)
  W=$(block 2>/dev/null || :)
  if [ -z "$W" ]; then
    echo "the job's block is missing from $CONFIG"
  elif [ "$W" != "$(kept block)" ]; then
    echo "the job's block in $CONFIG was edited"
  fi
  W=$(http_get "$(kept url)/api/v1/status/config")
  [ -z "$W" ] || [ "$(printf '%s\n' "$W" | job_in)" = "$(kept running)" ] || echo "Prometheus runs without the job $JOB as it was loaded"
}
