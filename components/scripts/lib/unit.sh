#!/bin/sh
# A unit of ours: what it ends with, how it is started, proven and taken away.

# What a unit of ours ends with, less what this systemd does not know: `systemd-analyze security` rates it 1.1.
sandbox() { # PROGRAMS [LEFT-OUT]
  W=${2-=}
  [ $systemd_version -ge 248 ] || W="$W|PrivateIPC|(No)?ExecPaths"
  echo "NoNewPrivileges=yes
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
WantedBy=multi-user.target" | grep -vE "^($W)"
}

# For undo_unit. Sets ran_before, and worked_before by what a command says of unit.
note_unit() { # COMMAND
  refuse_dropins_by_prefix
  ran_before=
  worked_before=
  case $(shows "$unit" ActiveState) in active | activating | reloading) ran_before=yes ;; esac
  if [ -n "$ran_before" ] && $1; then
    worked_before=yes
  fi
}

# Starts unit as its file says, again where text_changed. What overrides it is drift: it goes for good, and is only put back
# where this apply fails.
run_unit() {
  systemctl daemon-reload
  for dropin in $(own_dropins); do
    [ -e "$dropin" ] || continue
    remember "${dropin%/*}"
    rm -r "${dropin%/*}"
    text_changed=1
    systemctl daemon-reload
  done
  remember "$UNITS/multi-user.target.wants/$unit"
  systemctl -q enable $unit
  started_at=$(date +%s)
  if [ -n "$text_changed" ] || ! systemctl is-active -q "$unit"; then
    # What fails once, as where systemd is in the middle of something, it tries again by itself, after RestartSec.
    start_again "$unit" || poll 6 is_running || fail "$unit does not start$(why_not_started); see: journalctl -u $unit"
  fi
}

is_running() { systemctl is-active -q "$unit"; }

# Systemd's own word of a unit whose program it could not start, as in a container that may not mount.
why_not_started() {
  journalctl -u "$unit" -qo cat --since "@$started_at" | sed -n 's/^.*: \(Failed at step .*\)/: \1/p' | tail -n 1
}

# Drop-ins for unit alone; those for all services are the machine's.
own_dropins() { dropins | grep "/$unit.d/" || :; }

# Drop-ins for units whose names begin as that of unit does, in one line: others may be meant as well.
dropins_by_prefix() { { dropins | grep -v -e '/service\.d/' -e "/$unit.d/" || :; } | paste -sd ' ' -; }

dropins() { shows $unit DropInPaths | tr ' ' '\n' | grep . || :; }

refuse_dropins_by_prefix() {
  overriding=$(dropins_by_prefix)
  [ -z "$overriding" ] || fail "$unit is overridden by $overriding, as are others whose names begin so; take that away, or give it another name"
}

# After its files were put back: what ran before runs again, and what worked before works again, by what the command says
# that note_unit got. Sets lost where it does not.
undo_unit() { # COMMAND
  systemctl daemon-reload
  if [ ! -e "$unit_file" ]; then
    lost=$({ (restore) >/dev/null; } 3>&1)
  elif [ -z "$ran_before" ]; then
    systemctl stop "$unit"
  else
    start_again "$unit"
    # Others need not wait for it.
    flock -u 9
    [ -z "$worked_before" ] || poll 20 "$1" || lost="$unit does not work as before; see: journalctl -u $unit"
  fi
}

drop_unit() { # FILES of it
  systemctl stop $unit || :
  away $unit_file $unit_file.d.mt-old $UNITS/multi-user.target.wants/$unit "$@"
  systemctl daemon-reload
  systemctl reset-failed $unit 2>/dev/null || :
}
