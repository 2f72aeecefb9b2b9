#!/bin/sh
# On a server: one marked block in prometheus.yml, a job that reads a folder of target files.
# Values: JOB, BLOCK (items, not indented), CONFIG, SERVICE, URL (empty: found).
# Uses: core receipt files process http

# Sets PID, UNIT, CONFIG and URL of the one Prometheus, from SERVICE, CONFIG and URL where they are given.
find_prometheus() {
  PID=$(running)
  case $PID in
  '')
    [ -z "$SERVICE" ] || fail "$SERVICE does not run here; start it, or correct service"
    fail "Prometheus does not run here; start it or give service"
    ;;
  *[!0-9]*) fail "two Prometheus run here; give service" ;;
  esac
  UNIT=$(unit_of $PID)
  [ -n "$UNIT" ] || fail "Prometheus is no systemd service; run it as one"
  case $(name_of $PID) in
  sh | bash | dash | ash | ksh | zsh | busybox)
    fail "the main process of $UNIT is a shell, which our signal would end; put exec before Prometheus in its command"
    ;;
  esac
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
    CONFIG=$(config_it_reads)
    [ -n "$CONFIG" ] || fail "Prometheus does not answer on $URL; give url and configFile"
  fi
  CONFIG=$(cd /proc/$PID/cwd && readlink -f "$CONFIG")
  case $CONFIG in *[[:space:]*?\\[]*) fail "$CONFIG: move it to a path without blanks or *?[\\" ;; esac
}

# The file that Prometheus was started with, by its own words.
config_it_reads() {
  http_get "$URL/api/v1/status/flags" | sed -n 's/.*"config.file":"\([^"]*\)".*/\1/p'
}

# Refuses a configFile that Prometheus does not read: what runs there of our job would come from somewhere else.
refuse_other_config() {
  its=$(config_it_reads)
  [ -n "$its" ] || fail "Prometheus does not answer on $URL; give url"
  # As its own process sees it.
  case $its in /*) above=/proc/$PID/root ;; *) above=/proc/$PID/cwd/ ;; esac
  [ "$(same_file "$above$its")" = "$(same_file "$CONFIG")" ] ||
    fail "Prometheus reads $its, not $CONFIG; correct configFile, or leave it out"
}

same_file() { stat -Lc %d:%i "$1" 2>/dev/null || echo "none"; } # FILE

# Pids of Prometheus. The main process of a service may be a shell that waits for it, as where its command ends in
# "| tee FILE": our signal would end the shell, and Prometheus with it.
running() {
  if [ -z "$SERVICE" ]; then
    processes_named_prometheus
    return
  fi
  main_process=$(shows $SERVICE MainPID | sed 's/^0$//')
  case $(name_of $main_process) in
  sh | bash | dash | ash | ksh | zsh | busybox)
    its_unit=$(unit_of $main_process)
    for process in $(processes_named_prometheus); do
      [ "$(unit_of $process)" != "$its_unit" ] || main_process=$process
    done
    ;;
  esac
  echo $main_process
}

processes_named_prometheus() { cd /proc && grep -lsx prometheus [0-9]*/comm | cut -d/ -f1; }

name_of() { # PROCESS
  [ -z "${1-}" ] || cat /proc/$1/comm 2>/dev/null || :
}

# A flag of the running Prometheus.
flag() { tr '\0' '\n' </proc/$PID/cmdline | sed -n "s/^--*$1=//p;/^--*$1\$/{n;p;}" | tail -n 1; }

preflight() {
  find_prometheus
  command -v promtool >/dev/null || fail "no promtool; install it here$(promtool_beside)"
  [ -f "$CONFIG" ] || fail "$CONFIG does not exist; correct configFile, or leave it out"
  refuse_other_config
  valid "$CONFIG" || refuse_invalid
  BLOCK=$(known_block)
  placed "$CONFIG"
  too_many=$(blinded)
  [ -z "$too_many" ] || fail "$too_many"
}

# The one that lies beside Prometheus is not run from there: whoever may write to that folder is perhaps not root.
promtool_beside() {
  program=$(readlink /proc/$PID/exe) || return 0
  [ ! -e "${program%/*}/promtool" ] || echo ": cp ${program%/*}/promtool /usr/local/bin/"
}

# Whether promtool likes a file; else sets complaint.
valid() { # FILE
  complaint=$(promtool check config "$1" 2>&1) || {
    complaint=$(echo "$complaint" | tail -n 2 | tr -s '\n ' ' ')
    false
  }
}

# Of a file that Prometheus runs with and promtool does not know, the file is not to blame.
refuse_invalid() {
  mine=$(promtool --version 2>&1 | version)
  its=$(http_get "$URL/metrics" | sed -n 's/^prometheus_build_info{\(.*\)}.*/\1/p' | tr ',' '\n' | version)
  case $complaint in
  *"not found in type"*)
    if [ -n "$its" ] && [ "$its" != "$mine" ]; then
      fail "promtool $mine is not of the release of Prometheus $its and does not know what $CONFIG may hold:" \
        "$complaint; put the promtool of Prometheus $its into /usr/local/bin"
    fi
    ;;
  esac
  fail "$CONFIG is invalid, mend it: $complaint"
}

version() { sed -n 's/^\(promtool, version \|version="\)\([0-9.]*\).*/\2/p' | head -n 1; }

# Our items, less what this Prometheus is too old to know. promtool says it of a file that holds nothing else.
known_block() {
  alone=$(printf 'scrape_configs:\n%s\n' "$BLOCK")
  unknown=$(echo "$alone" | promtool check config /dev/stdin 2>&1 |
    sed -n 's/.*line \([0-9]*\): field [a-z_]* not found.*/\1d/p')
  echo "$alone" | sed "$unknown" | tail -n +2
}

# Refuses a file in whose list our job would not stand. promtool tells: with the job in it twice it has to complain of two
# by that name, which it does before it looks for any other file.
placed() { # FILE
  twice=$(edited twice <"$1") || fail "$CONFIG: $twice"
  complaint=$(echo "$twice" | promtool check config /dev/stdin 2>&1 || :)
  case $complaint in
  *"multiple scrape configs with job name \"$JOB\""*) ;;
  *) fail "$CONFIG: our job would not come into its list; $(as_a_list)" ;;
  esac
}

as_a_list() { echo "write scrape_configs: alone on its line, and each job below it as - job_name: ..."; }

# Prints what a new limit would blind of the targets that are up.
blinded() {
  limit_now=$(block | sample_limit)
  limit=$(echo "$BLOCK" | sample_limit)
  [ "${limit_now:-0}" -gt "$limit" ] 2>/dev/null || return 0
  instances=$(ls /etc/metrics-tunnel/targets/$STACK 2>/dev/null | sed -n 's/.json$/%7C/p' | tr -d '\n')
  query="scrape_samples_post_metric_relabeling%7Binstance=~%22${instances%???}%22%7D%3E$limit+and+up==1"
  too_many=$(http_get "$URL/api/v1/query?query=$query" | sed 's/{"metric/\n&/g' |
    sed -n 's/.*"instance":"\([^"]*\)".*,"\([0-9]*\)"\].*/\1 brings \2/p' | paste -sd ,)
  [ -z "$too_many" ] || echo "$too_many samples, more than $limit; raise scrape.sampleLimit"
}

sample_limit() { sed -n 's/.*sample_limit: //p'; }

change() {
  mkdir -p /etc/metrics-tunnel/targets/$STACK
  candidate placed "$CONFIG"
  placed "$CANDIDATE"
  running=$(kept running)
  if [ -z "$running" ] || [ "$(running_job)" != "$running" ] || ! cmp -s "$CANDIDATE" "$CONFIG"; then
    swap
  fi
  leave_earlier_config
}

# Where Prometheus has got another file since, our block goes from the one before, which nobody reads any more.
leave_earlier_config() {
  earlier=$(kept config)
  if [ -z "$earlier" ] || [ ! -f "$earlier" ]; then
    return 0
  fi
  # It may be a link by now, to the same file or to another.
  earlier=$(readlink -f "$earlier")
  [ "$(same_file "$earlier")" != "$(same_file "$CONFIG")" ] || return 0
  candidate removed "$earlier"
  cmp -s "$CANDIDATE" "$earlier" || mv -f "$CANDIDATE" "$earlier"
  label "$earlier"
}

# Writes a file as it shall be, with mode and owner of the one that is there. Sets CANDIDATE.
candidate() { # placed|removed FILE
  CANDIDATE=$2.mt-new
  remember "$2"
  cp -p "$2" "$CANDIDATE"
  edited "$1" <"$2" >"$CANDIDATE" || fail "$2: $(cat "$CANDIDATE")"
}

# Puts the candidate in place, which promtool must like, and waits until Prometheus has read it.
swap() {
  valid "$CANDIDATE" || fail "promtool refuses our change: $complaint"
  if ! cmp -s "$CONFIG.mt-old" "$CONFIG"; then
    keep_others_edit
    fail "$CONFIG was changed by somebody else meanwhile; run again"
  fi
  SWAPPED=$(checksum "$CANDIDATE")
  cmp -s "$CANDIDATE" "$CONFIG" || mv -f "$CANDIDATE" "$CONFIG" ||
    fail "cannot replace $CONFIG; if it is a mount of its own, mount its folder instead"
  label "$CONFIG"
  reload
  poll 30 loaded || refuse_not_loaded
}

checksum() { sha256sum <"$1"; } # FILE

# The copy of before is not put back over what somebody else has written since.
keep_others_edit() { forget_copies; }

# Sets reloaded_before, when Prometheus last read its configuration and took it, as far as it says so now, and started_at.
reload() {
  reloaded_before=$(last_reload)
  started_at=$(date +%s)
  kill -HUP "$PID"
}

last_reload() {
  http_get "$URL/metrics" 3 | sed -n 's/^prometheus_config_last_reload_success_timestamp_seconds //p'
}

# Whether Prometheus has read its configuration since we told it to: it says when, and that is another time than before,
# which it may not have said.
reloaded() {
  reloaded_now=$(last_reload)
  [ -n "$reloaded_now" ] && [ "$reloaded_now" != "$reloaded_before" ] &&
    awk -v now="$reloaded_now" -v start="$started_at" 'BEGIN { exit !(now >= start) }'
}

loaded() {
  reloaded || return 1
  case $(block):$(running_job) in :?* | ?*:) false ;; esac
}

refuse_not_loaded() {
  if reloaded; then
    why="it read a configuration in which our change is not; does it read this file?"
  else
    why=$(journalctl -u "$UNIT" -qo cat --since "@$started_at" | sed -n 's/.* err="\(.*\)".*/\1/p' | tail -n 1)
  fi
  if [ "$(checksum "$CONFIG")" != "$SWAPPED" ]; then
    keep_others_edit
    OTHERS=yes
  fi
  fail "Prometheus did not load $CONFIG${why:+ ($why)}; see: journalctl -u $UNIT"
}

# Without inotify Prometheus' discovery ends before it has read one target file; it says so in its journal alone.
prove() {
  poll 5 watches ||
    fail "Prometheus cannot watch its target files: $(id -un "$(stat -c %u "/proc/$PID")") has no inotify instance left;" \
      "raise fs.inotify.max_user_instances (sysctl), and restart $UNIT"
}

watches() { [ -n "$(find "/proc/$PID/fd" -lname '*inotify*' 2>/dev/null)" ]; }

undo() {
  [ -d "$RECEIPT" ] || leave
  [ -n "${SWAPPED-}" ] || return 0
  reload
  flock -u 9
  poll 30 reloaded || lost="Prometheus did not load $CONFIG; see: journalctl -u $UNIT"
  [ -z "${OTHERS-}" ] || lost="$CONFIG stays as somebody else has changed it meanwhile; run again"
}

# The job as Prometheus runs it, from its API.
running_job() { http_get "$URL/api/v1/status/config" | job_in; }

job_in() {
  sed 's/\\n/\n/g' | JOB="$JOB" awk '
    $0 == "- job_name: " ENVIRON["JOB"] { ours = 1; print; next }
    !/^ / { ours = 0 }
    ours'
}

# Our block as it stands in the file, marks and all.
block() { edited shown <"$CONFIG"; }

# Reads a block; prints it less what the editor gives to another stack when that one is left as the first.
items() { sed '1s/ joined$//;/^ *scrape_configs:$/d'; }

# The editor: reads a prometheus.yml and prints it
#   removed  without our block
#   placed   with our block, as the first of the list
#   twice    the same with our job in it two times, which only promtool gets
# or, for `shown`, our block alone. Every other byte stays. Fails with the reason as its only line where the file has no
# place for the block, or the block cannot be told from the rest.
edited() { # removed|placed|twice|shown
  # The letter behind the last byte tells a file that ends with a newline from one that does not.
  { cat && printf x; } | JOB="$JOB" BLOCK="${BLOCK-}" AS_A_LIST="$(as_a_list)" awk -v action="$1" '
    BEGIN {
      job = ENVIRON["JOB"]
      key = "scrape_configs:"
      other_begin = "^[ ]*# BEGIN metrics-tunnel-"
    }
    { line[NR] = $0 }
    END {
      count = NR
      # Where the file ends with a newline, what is behind it is one more line, which is empty.
      line[count] = substr(line[count], 1, length(line[count]) - 1)
      begins = find_block()
      if (action == "shown") {
        for (i = first; i && i <= last; i++) print line[i]
        exit
      }
      if (line[1] ~ /^(\377\376|\376\377)/) refuse("it is not UTF-8; save it as that")
      refuse_damaged(begins)
      if (first) take_out()
      if (action != "removed") put_in()
      for (i = 1; i < count; i++) print line[i]
      printf "%s", line[count]
    }

    function refuse(reason) {
      print reason
      # Nothing more is printed: END is not run again.
      exit 1
    }
    function trimmed(text) {
      gsub(/^[ \t]+|[ \t\r]+$/, "", text)
      return text
    }
    function is_begin(text) { return trimmed(text) == "# BEGIN " job || trimmed(text) == "# BEGIN " job " joined" }
    function is_end(text) { return trimmed(text) == "# END " job }
    function is_joined(text) { return text ~ / joined[ \t\r]*$/ }
    function says_nothing(text) { return text ~ /^[ \t]*(#.*)?\r?$/ }
    function is_item(text) { return text ~ /^ *-([ \t\r]|$)/ }
    function indent_of(text) {
      match(text, /^ */)
      return RLENGTH
    }

    # Sets first and last, the lines of the marks, to 0 where they are missing; gives the number of first marks.
    function find_block(   i, begins) {
      first = last = begins = 0
      for (i = 1; i <= count; i++) {
        if (is_begin(line[i])) {
          begins++
          if (!first) first = i
        }
        if (is_end(line[i]) && first && !last) last = i
      }
      return begins
    }
    function refuse_damaged(begins,   i) {
      if (begins > 1 || (first && !last)) refuse("the marks of " job " are damaged; delete its block")
      for (i = 1; i <= count && !first; i++) {
        if (is_job(line[i])) refuse("the job " job " has lost its marks; delete that job")
      }
    }
    function is_job(text) {
      sub(/^[ \t]*-/, "", text)
      text = trimmed(text)
      gsub(/["\047]/, "", text)
      return text == "job_name: " job
    }

    # What our block holds for others goes on to them: the key of the list where more items follow, and the word that the
    # line before had no end.
    function take_out(   i, with_key, joined, heir) {
      for (i = first; i <= last; i++) if (trimmed(line[i]) == key) with_key = i
      joined = is_joined(line[first])
      heir = last < count && line[last + 1] ~ other_begin ? last + 1 : 0
      if (heir) {
        if (joined && !is_joined(line[heir])) line[heir] = line[heir] " joined"
        if (with_key) {
          line[last] = line[heir]
          line[heir] = line[with_key]
          last--
        }
      } else if (with_key && goes_on(last + 1)) {
        line[last] = line[with_key]
        last--
      } else if (joined && last + 1 == count && line[count] == "") {
        last = count
      }
      for (i = last + 1; i <= count; i++) line[i - last + first - 1] = line[i]
      count -= last - first + 1
    }
    function goes_on(i) {
      while (i <= count && says_nothing(line[i])) i++
      return i <= count && is_item(line[i])
    }

    # Sets after, the line behind which the block comes, indent, and with_key where the file has no list yet.
    function find_place(   i, text, begun, root, list, rest) {
      root = -1
      for (i = 1; i <= count; i++) {
        text = line[i]
        sub(/\r$/, "", text)
        if (i == 1) sub(/^\357\273\277/, "", text)
        if (text ~ /^(---|[.][.][.])([ \t]|$)/) {
          # Prometheus reads the first document alone.
          if (begun || text ~ /^[.]/) break
          begun = 1
          sub(/^---/, "", text)
          if (!says_nothing(text)) refuse("it begins on the line of its ---; begin it on the next line")
        } else if (says_nothing(text) || (!begun && text ~ /^%/)) {
          continue
        } else {
          begun = 1
          if (root < 0) root = indent_of(text)
          if (indent_of(text) != root) continue
          text = substr(text, root + 1)
          if (text ~ /^[{]/) refuse("it is written as JSON; write it as YAML: " ENVIRON["AS_A_LIST"])
          if (text ~ /^["\047]?<<["\047]?[ \t]*:/) refuse("it has a merge key (<<) at its margin; write out what it brings")
          if (!list && text ~ /^["\047]?scrape_configs["\047]?[ \t]*:([ \t]|$)/) list = i
        }
      }
      if (root < 0) root = 0
      if (list) {
        rest = line[list]
        sub(/^[^:]*:/, "", rest)
        find_list_place(list, rest, root, i)
      } else {
        after = i - 1
        if (after == count && line[count] == "") after--
        indent = root
        with_key = 1
      }
    }
    function find_list_place(list, rest, root, end,   i) {
      if (rest ~ /^[ \t]*&/) refuse("scrape_configs has an anchor, which may be used elsewhere; take it away")
      sub(/^[ \t]+!!seq/, "", rest)
      if (!says_nothing(rest)) refuse("scrape_configs is no block list; " ENVIRON["AS_A_LIST"])
      after = list
      for (i = list + 1; i < end && says_nothing(line[i]); i++);
      indent = root
      if (i < end && is_item(line[i]) && indent_of(line[i]) >= root) {
        indent = indent_of(line[i])
      } else if (i < end && indent_of(line[i]) > root) {
        refuse("scrape_configs is no block list; " ENVIRON["AS_A_LIST"])
      }
      if (list > 1 && line[list - 1] ~ other_begin) {
        # The list begins in the block of another stack, which has to stay whole.
        while (after < end && line[after] !~ /^ *# END metrics-tunnel-/) after++
      }
    }

    function put_in(   i, n, new, item, items, margin, joined) {
      find_place()
      while (length(margin) < indent) margin = margin " "
      joined = after == count && line[count] != ""
      new[++n] = margin "# BEGIN " job (joined ? " joined" : "")
      if (with_key) new[++n] = margin key
      items = split(ENVIRON["BLOCK"], item, "\n")
      for (i = 1; i <= items; i++) new[++n] = margin item[i]
      for (i = 1; action == "twice" && i <= items; i++) new[++n] = margin item[i]
      new[++n] = margin "# END " job
      if (joined) line[++count] = ""
      for (i = count; i > after; i--) line[i + n] = line[i]
      for (i = 1; i <= n; i++) line[after + i] = new[i]
      count += n
    }'
}

record() {
  keep url "$URL"
  keep config "$CONFIG"
  keep unit "$UNIT"
  keep block "$(block)"
  keep running "$(running_job)"
}

restore() {
  config_then=$(kept config)
  if [ -n "$config_then" ] && [ -z "$(running)" ]; then
    # There is nobody to tell.
    CONFIG=$(readlink -f "$config_then")
    if [ -e "$CONFIG" ]; then
      candidate removed "$CONFIG"
      mv "$CANDIDATE" "$CONFIG"
    fi
  else
    find_prometheus
    candidate removed "$CONFIG"
    swap
  fi
  leave
}

leave() { rmdir -p /etc/metrics-tunnel/targets/$STACK 2>/dev/null || :; }
