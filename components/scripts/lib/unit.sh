#!/bin/sh
# A unit of ours: how its text ends, how it is started, proven and taken away.
#
# Of the part: unit (its name), unit_file (its path), UNITS (the folder of all units).

# --- Its text.

# The end of a unit of ours, from the middle of its section [Service] on: what its programs must not
# do, and what starts it at boot. `systemd-analyze security` rates it 1.1.
sandbox() { # PROGRAMS that may run, or their folders, with blanks between
  without_unknown_settings <<SANDBOX
NoNewPrivileges=yes
CapabilityBoundingSet=
SecureBits=noroot-locked
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @setuid @keyring @memlock
NoExecPaths=/
ExecPaths=$1 /usr/lib /lib -/lib64
InaccessiblePaths=-/boot -/srv -/media -/mnt -/var/lib -/run/dbus
TasksMax=8
MemoryMax=64M
LimitCORE=0
OOMScoreAdjust=-200
[Install]
WantedBy=multi-user.target
SANDBOX
}

# These three came with systemd 248.
without_unknown_settings() {
  if [ "$systemd_version" -ge 248 ]; then
    cat
  else
    grep -v -e '^PrivateIPC=' -e '^NoExecPaths=' -e '^ExecPaths='
  fi
}

# --- Before a change.

# Notes how the unit is, for undo_unit. Whether it works is for a command to say.
# Sets: ran_before, worked_before (each empty where it did not)
note_unit() { # COMMAND
  refuse_dropins_by_prefix
  ran_before=
  worked_before=
  case $(shows "$unit" ActiveState) in
  active | activating | reloading) ran_before=yes ;;
  esac
  if [ -n "$ran_before" ] && $1; then
    worked_before=yes
  fi
}

refuse_dropins_by_prefix() {
  overriding=$(dropins_by_prefix)
  [ -z "$overriding" ] ||
    fail "$unit is overridden by $overriding, as are others whose names begin so;" \
      "take that away, or give it another name"
}

# Prints, in one line, the drop-ins for units whose names begin as that of the unit does: others may
# be meant as well.
dropins_by_prefix() {
  { dropins | grep -v -e '/service\.d/' -e "/$unit.d/" || :; } | paste -sd ' ' -
}

# Prints the drop-ins for the unit alone, a line each; those for all services are the machine's.
own_dropins() { dropins | grep "/$unit.d/" || :; }

dropins() { shows "$unit" DropInPaths | tr ' ' '\n' | grep . || :; }

# --- Starting it.

# Starts the unit as its file says, and anew where text_changed is not empty. What overrides the
# file is drift: it goes for good, and is only put back where this apply fails.
# Sets: started_at (from when on its journal tells of this start)
run_unit() {
  remember "$UNITS/multi-user.target.wants/$unit"
  # With this systemd reads all units anew, which is dear where there are many: it is told but once.
  systemctl -q enable "$unit"
  for dropin in $(own_dropins); do
    # It may have gone with the folder of another one.
    [ -e "$dropin" ] || continue
    remember "${dropin%/*}"
    rm -r "${dropin%/*}"
    text_changed=1
    systemctl daemon-reload
  done
  started_at=$(date +%s)
  if [ -n "$text_changed" ] || ! is_running; then
    # What fails once, as where systemd is in the middle of something, it tries again by itself,
    # after RestartSec.
    start_again "$unit" || poll 6 is_running ||
      fail "$unit does not start$(why_not_started); see: journalctl -u $unit"
  fi
}

is_running() { systemctl is-active -q "$unit"; }

# Prints systemd's own word of a unit whose program it could not start, as in a container that may
# not mount.
why_not_started() {
  journalctl -u "$unit" -qo cat --since "@$started_at" |
    sed -n 's/^.*: \(Failed at step .*\)/: \1/p' | tail -n 1
}

# --- The way back.

# After its files were put back: what ran before runs again, and what worked before works again, as
# the command says that note_unit got.
# Sets: lost (what does not)
undo_unit() { # COMMAND
  systemctl daemon-reload
  if [ ! -e "$unit_file" ]; then
    # It is new: all of it goes. What fail says there is what is lost.
    lost=$({ (restore) >/dev/null; } 3>&1)
  elif [ -z "$ran_before" ]; then
    systemctl stop "$unit"
  else
    start_again "$unit"
    # Others need not wait for it.
    flock -u 9
    if [ -n "$worked_before" ]; then
      poll 20 "$1" || lost="$unit does not work as before; see: journalctl -u $unit"
    fi
  fi
}

# Stops the unit, and takes it away with what a killed run has left of it.
drop_unit() { # FILES of its own that go with it
  systemctl stop "$unit" || :
  away "$unit_file" "$unit_file.d.mt-old" "$UNITS/multi-user.target.wants/$unit" "$@"
  systemctl daemon-reload
  systemctl reset-failed "$unit" 2>/dev/null || :
}
