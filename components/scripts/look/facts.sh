#!/bin/sh
# All that a look reads of a machine at once, with a process for each kind of fact and not for each part: a server of a
# thousand hosts has two thousand parts. It judges nothing, and changes nothing; components/facts.py reads what it prints,
# lines of tabs:
#   receipt   PATH LINE         each line of each file of all receipts, PATH below /var/lib/metrics-tunnel
#   held      PATH              each file of all receipts, were it empty
#   mode      MODE OWNER PATH   files of ours, and those that receipts name
#   checksum  SHA256  PATH      the same
#   folder    PATH TEXT         a folder on the way to ours that others may write to, or that ours cannot be reached through
#   unit      NAME=VALUE        systemd's properties of our units; each unit begins with its Id
#   user      NAME GROUPS       users of ours that are there
#   later     PATH LINE         the owners once more: what another run has applied meanwhile is told from them

facts() {
  receipts | fact receipt
  held_files | fact held
  status_of_files | fact mode
  checksums | fact checksum
  folder_drift | fact folder
  units | fact unit
  users | fact user
  receipts owners/ | fact later
}

# Lines of receipts, of all their files or of those below a folder. What is gone as it is read was just taken away.
receipts() { # [FOLDER/]
  cd "$STORE" 2>/dev/null || return 0
  find . -mindepth 2 -type f -path "./*/${1-}*" -exec awk '{ print substr(FILENAME, 3) "\t" $0 }' {} + || :
}

held_files() {
  cd "$STORE" 2>/dev/null || return 0
  find . -mindepth 2 -type f | sed 's/^\.\///'
}

status_of_files() { files_of_ours | tr '\n' '\0' | xargs -r0 stat -c '%a %U %n' 2>/dev/null || :; }

checksums() { files_of_ours | tr '\n' '\0' | xargs -r0 sha256sum 2>/dev/null || :; }

# Each folder may be missing.
files_of_ours() {
  {
    cat "$STORE"/*/manifest 2>/dev/null | sed -n 's/^[0-9a-f]\{64\}  //p'
    find /etc/metrics-tunnel -type f 2>/dev/null || :
    find /etc/systemd/system -maxdepth 1 -name 'metrics-tunnel*.service' 2>/dev/null || :
  } | sort -u
}

# What is below these folders is ours, or is put beside what is not.
places() {
  files_of_ours
  echo /etc/systemd/system/x /etc/ssh/authorized_keys.d/x /etc/ssh/sshd_config.d/x
  echo /etc/metrics-tunnel/keys/x /etc/metrics-tunnel/known_hosts/x /etc/metrics-tunnel/targets/*/x
  echo "$STORE"/*/owners/x
}

# Units of ours, whether their files are there or only a receipt says that they should be.
units() {
  {
    echo metrics-tunnels-watchdog.service
    find /etc/systemd/system -maxdepth 1 -name 'metrics-tunnel-*.service' 2>/dev/null | sed 's/.*\///'
    find "$STORE" -maxdepth 1 -name 'ssh-tunnel-*' 2>/dev/null |
      sed 's/.*\/ssh-tunnel-\(.*\)/metrics-tunnel-\1.service/'
  } | sort -u | xargs systemctl show -p Id -p UnitFileState -p ActiveState -p DropInPaths -- 2>/dev/null || :
}

users() {
  for user in metrics-tunnel metrics-tunnel-ssh; do
    if getent passwd "$user" >/dev/null; then
      echo "$user $(id -Gn "$user")"
    fi
  done
}
