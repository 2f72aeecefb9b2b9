#!/bin/sh
# All that a look reads of a machine at once, with a process for each kind of fact and not for each
# part: a server of a thousand hosts has two thousand parts. It judges nothing, and changes nothing;
# components/facts.py reads what it prints, lines of tabs:
#   receipt   PATH LINE         each line of all receipts, PATH below /var/lib/metrics-tunnel
#   held      PATH              each file of all receipts, were it empty
#   mode      MODE OWNER PATH   files of ours, and those that receipts name
#   checksum  SHA256  PATH      the same
#   folder    PATH TEXT         a folder on the way to ours that others may write to, or that ours
#                               cannot be reached through
#   unit      NAME=VALUE        systemd's properties of our units and of exporters'; the first of
#                               each is its Id
#   user      NAME GROUPS       users of ours that are there
#   link      PATH              symbolic links below /etc/metrics-tunnel
#   listener  ADDRESS           where something listens by TCP
#   closed    PORT FILE         each drop-in of ours for an exporter, and the port that it closes by
#                               its text
#   command   UNIT LINE         the commands of each exporter's unit, less our drop-in
#   asked     UNIT LINE         listen flags in the environment files of each exporter's unit,
#                               behind the file's name
#   block     PART LINE         the block of each scrape job, as it stands in its prometheus.yml
#   mark      PART LINE         each line there that is a mark of that block, or names its job
#   answers   URL yes|no        whether a Prometheus that a receipt names tells what it runs with
#   job       PART LINE         the job as that Prometheus runs it
#   later     PATH LINE         the owners once more: what another run has applied meanwhile is told
#                               from them
#
# What needs a part's values or its script is asked between facts and later, by jobs.sh and keys.sh.
#
# Uses: core receipt files process http prometheus exporter-unit own-command.awk closed-ports.awk
# Uses: job prometheus-yml.awk running-job.awk

# Sets: ours (the paths of all files of ours, a line each)
facts() {
  ours=$(files_of_ours)
  receipts receipt ''
  held_files
  status_of_files
  checksums | fact checksum
  folder_drift
  units | fact unit
  users
  links
  listeners | fact listener
  closed_ports | fact closed
  commands_of_exporters
  blocks_of_jobs
  jobs_that_run
}

later() { receipts later owners/; }

# Lines of receipts, of all their files or of those below a folder. What is gone as it is read was
# just taken away.
receipts() { # KIND FOLDER/, empty for all
  cd "$STORE" 2>/dev/null || return 0
  find . -mindepth 2 -type f -path "./*/$2*" -exec awk -v fact="$FACT\t$1" '
    { print fact "\t" substr(FILENAME, 3) "\t" $0 }' {} + || :
}

held_files() {
  find "$STORE" -mindepth 2 -type f -printf "$FACT\theld\t%P\n" 2>/dev/null || :
}

status_of_files() { for_files_of_ours stat --printf="$FACT\tmode\t%a %U %n\n"; }

checksums() { for_files_of_ours sha256sum; }

# What is gone by now was just taken away.
for_files_of_ours() { # COMMAND
  printf '%s' "$ours" | xargs -r -d '\n' "$@" 2>/dev/null || :
}

# Each folder may be missing.
files_of_ours() {
  {
    # By the lines of modes: sha256sum doubles the backslashes of a path.
    cat "$STORE"/*/manifest 2>/dev/null | sed -n 's/^[0-7]* [^ ][^ ]* //p'
    find /etc/metrics-tunnel -type f 2>/dev/null || :
    find /etc/systemd/system -maxdepth 1 -name 'metrics-tunnel*.service' 2>/dev/null || :
    # shellcheck disable=SC2046 # a pattern
    find $(dropin_of '*.service') 2>/dev/null || :
  } | sort -u
}

# What is below these folders is ours, or is put beside what is not.
places() {
  printf '%s\n' "$ours"
  echo /etc/systemd/system/x /etc/ssh/authorized_keys.d/x /etc/ssh/sshd_config.d/x
  echo /etc/metrics-tunnel/keys/x /etc/metrics-tunnel/known_hosts/x /etc/metrics-tunnel/targets/*/x
  echo "$STORE"/*/owners/x
}

# Units of ours, whether their files are there or only a receipt says that they should be, and
# exporters'.
units() {
  {
    printf '%s\n' "$ours" | sed -n 's/.*\/systemd\/system\/\([^/]*\.service\)$/\1/p'
    units_of_exporters
  } | sort -u | tr '\n' '\0' | xargs -r0 systemctl show -p Id -p Names -p LoadState \
    -p UnitFileState -p ActiveState -p DropInPaths -- 2>/dev/null || :
}

users() {
  for user in metrics-tunnel metrics-tunnel-ssh; do
    if getent passwd "$user" >/dev/null; then
      echo "$user $(id -Gn "$user")" | fact user
    fi
  done
}

links() { find /etc/metrics-tunnel -type l -printf "$FACT\tlink\t%p\n" 2>/dev/null || :; }

# --- Exporters.

listeners() { ss -Hltn | local_addresses; }

# Those that receipts name; one with MANAGE=no names none, and what else is no unit's name was cut
# short.
units_of_exporters() {
  cat "$STORE"/exporter-*/unit 2>/dev/null | grep -xE '[A-Za-z0-9:_.@\-]+\.service' | sort -u
}

commands_of_exporters() {
  units_of_exporters | while IFS= read -r exporter_unit; do
    unit_text=$(systemctl cat "$exporter_unit" 2>/dev/null </dev/null || :)
    printf '%s\n' "$unit_text" | own_command | fact command "$exporter_unit"
    printf '%s\n' "$unit_text" | listeners_asked | fact asked "$exporter_unit"
  done
}
