#!/bin/sh
# On a server: one marked block in prometheus.yml, a job that reads a folder of target files.
# Values: JOB, BLOCK (items, not indented), TARGETS (folder), CONFIG, SERVICE, URL (empty: found).

preflight() {
  find_prometheus
  [ -f "$CONFIG" ] || refuse "$CONFIG (Prometheus' configuration) is not there; give configFile"
  command -v promtool >/dev/null || refuse "no promtool here; install it beside Prometheus (it checks each change before it is made)"
  W=$(promtool check config "$CONFIG" 2>&1) || refuse "$CONFIG is invalid already, nothing changed: $(echo "$W" | grep FAILED -A 1 | tail -n 1)"
  B=$(grep -anc "^ *# BEGIN metrics-tunnel $STACK\( \|$\)" "$CONFIG" || :)
  E=$(grep -anc "^ *# END metrics-tunnel $STACK\$" "$CONFIG" || :)
  [ "$B" = "$E" ] && [ "$B" -le 1 ] || refuse "$CONFIG has $B BEGIN and $E END marks of metrics-tunnel $STACK; repair or delete the block by hand"
  ! grep -aq '^scrape_configs:' "$CONFIG" || grep -aq '^scrape_configs:[[:space:]]*\(#.*\)\{0,1\}$' "$CONFIG" ||
    refuse "$CONFIG: scrape_configs is not a plain block list; write its items on lines of their own"
}

change() {
  mkdir -p -m 755 /etc/metrics-tunnel "${TARGETS%/*}" "$TARGETS"
  N=$CONFIG.mt-new
  remember "$CONFIG"
  cp -p "$CONFIG" "$N" && cp -p "$CONFIG" "$N.base" && without_block >"$N.base" && with_block "$N.base" >"$N" ||
    { rm -f "$N" "$N.base" && fail "cannot write beside $CONFIG (no space?); see: df -h"; }
  rm -f "$N.base"
  if cmp -s "$N" "$CONFIG"; then
    rm -f "$N"
  else
    W=$(promtool check config "$N" 2>&1) || { rm -f "$N" && fail "promtool refuses our job $JOB: $(echo "$W" | tail -n 2 | tr '\n' ' ')"; }
    mv -f "$N" "$CONFIG" || { rm -f "$N" && fail "cannot replace $CONFIG; see: mount, lsattr"; }
  fi
  [ -n "$(running_job)" ] && [ "$(running_job)" = "$(kept running)" ] && [ "$(block)" = "$(kept block)" ] && return
  reload
  poll 20 running || fail "Prometheus did not load the job $JOB; see: journalctl -u $UNIT"
}

reload() { kill -HUP "$PID"; }

running() { [ -n "$(running_job)" ]; }

# The file without our block, byte for byte; "joined" says that the line before had no end.
without_block() {
  B=$(grep -an "^ *# BEGIN metrics-tunnel $STACK\( \|$\)" "$CONFIG" | head -n 1)
  if [ -z "$B" ]; then
    cat "$CONFIG"
    return
  fi
  E=$(grep -an "^ *# END metrics-tunnel $STACK\$" "$CONFIG" | cut -d: -f1)
  C=$(head -n $((${B%%:*} - 1)) "$CONFIG" | wc -c)
  case $B in *joined*) C=$((C - 1)) ;; esac
  head -c "$C" "$CONFIG"
  tail -n +$((E + 1)) "$CONFIG"
}

with_block() { # FILE
  L=$(grep -anc '' "$1" || :)
  S=$(grep -an '^scrape_configs:' "$1" | cut -d: -f1)
  K=
  I='  '
  if [ -n "$S" ]; then
    # Items of one list stand at one indent.
    X=$(tail -n +$((S + 1)) "$1" | grep -av '^[[:space:]]*\(#.*\)\{0,1\}$' | head -n 1)
    X=$(printf '%s\n' "$X" | sed -n 's/^\( *\)- .*/\1x/p')
    [ -z "$X" ] || I=${X%x}
  else
    S=$L
    K=scrape_configs:
  fi
  head -n "$S" "$1"
  J=
  if [ "$S" = "$L" ] && [ -s "$1" ] && [ "$(tail -c 1 "$1" | wc -l)" = 0 ]; then
    echo
    J=' joined'
  fi
  echo "$I# BEGIN metrics-tunnel $STACK$J"
  [ -z "$K" ] || echo "$K"
  echo "$BLOCK" | sed "s/^/$I/"
  echo "$I# END metrics-tunnel $STACK"
  tail -n +$((S + 1)) "$1"
}

block() { sed -n "/^ *# BEGIN metrics-tunnel $STACK\( \|$\)/,/^ *# END metrics-tunnel $STACK\$/p" "$CONFIG"; }

prove() { :; }

record() {
  keep block "$(block)"
  keep running "$(running_job)"
}

undo() { reload; }

restore() {
  find_prometheus
  N=$CONFIG.mt-new
  cp -p "$CONFIG" "$N" && without_block >"$N" || { rm -f "$N" && fail "cannot write beside $CONFIG (no space?); see: df -h"; }
  W=$(promtool check config "$N" 2>&1) || { rm -f "$N" && fail "promtool refuses $CONFIG without our job: $(echo "$W" | tail -n 2 | tr '\n' ' ')"; }
  mv -f "$N" "$CONFIG"
  rmdir "$TARGETS" "${TARGETS%/*}" /etc/metrics-tunnel 2>/dev/null || :
  reload
  poll 20 gone || fail "Prometheus did not load $CONFIG without the job $JOB; see: journalctl -u $UNIT"
}

gone() { ! running; }

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
