#!/bin/sh
# On a server: the hardened unit that carries a host's scrapes. Proves itself by a real scrape.
# Values: HOST, HOST_KEY (type and key), UNIT_FILE (text, without its sandbox), LISTENS (address:port/path ...).

paths() {
  UNIT=metrics-tunnel-$HOST.service
  J="journalctl -u $UNIT"
  D=/etc/systemd/system
  F=$D/$UNIT
  H=/etc/metrics-tunnel/known_hosts/$HOST
  GECOS='Prometheus tunnels'
}

preflight() {
  paths
  [ ! -s $F ] || grep -q "stack $STACK;" $F || ls $RECEIPT/owners/$STACK.* >/dev/null 2>&1 || fail "$F is another stack's; rename the host"
  P=$(shows $UNIT MainPID)
  for L in $LISTENS; do
    L=${L%%/*}
    # A wildcard listener owns the port on every loopback address.
    W=$(ss -Hltnp "sport = :${L##*:}" | awk -v a=$L '!/pid='$P',/&&($4==a||$4~/^(\*|0.0.0.0|\[::]):/)')
    [ -n "$W" ] || continue
    A=${W#*pid=}
    case $(unit_of "${A%%,*}") in metrics-tunnel-*) fail "$L is another host's; take that one out first, or give another listen" ;; esac
    W=${W#*\"}
    fail "$L is used by ${W%%\"*}; give the host another listen"
  done
}

change() {
  CHANGED=
  getent passwd metrics-tunnel-ssh >/dev/null || useradd -r -d /nonexistent -s /usr/sbin/nologin -c "$GECOS" metrics-tunnel-ssh
  mkdir -p ${H%/*}
  put $H "$HOST $HOST_KEY"
  put $F "$UNIT_FILE
$(sandbox)"
  systemctl daemon-reload
  # What overrides our unit is drift: it goes for good, and is only put back where this apply fails.
  for P in $(overrides); do
    [ -e $P ] || continue
    remember ${P%/*}
    rm -r ${P%/*}
    CHANGED=1
    systemctl daemon-reload
  done
  systemctl -q enable $UNIT
  START=$(date +%s)
  [ -z "$CHANGED" ] && systemctl is-active -q $UNIT || systemctl restart $UNIT || fail "$UNIT does not start; see: $J"
}

# A target that is down is health: the far side let the forward through and nobody answered it there.
prove() {
  flock -u 9
  for L in $LISTENS; do
    poll 20 carries || fail "no scrape through $L: $($J -qo cat -n 1 --since @$START _TRANSPORT=stdout | grep . || echo no metrics there without a password); see: $J"
  done
}

carries() { http_get http://$L | grep -q '[a-z]' || $J -qo cat --since @$START | grep -q 'failed: Connection refused'; }

# What every tunnel's unit ends with, without what this systemd does not know: `systemd-analyze security` rates it 1.1.
sandbox() {
  K='^$'
  [ $V -ge 248 ] || K='^(PrivateIPC|(No)?ExecPaths)='
  echo 'NoNewPrivileges=yes
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
ExecPaths=/usr/bin/ssh /usr/lib /lib -/lib64
InaccessiblePaths=-/boot -/srv -/media -/mnt -/var/lib -/run/dbus
TasksMax=8
MemoryMax=64M
LimitCORE=0
OOMScoreAdjust=-200
[Install]
WantedBy=multi-user.target' | grep -vE "$K"
}

# Drop-ins for our unit alone; those for all services are the machine's.
overrides() { shows $UNIT DropInPaths | tr ' ' '\n' | grep "/$UNIT.d/" || :; }

record() { manifest $F $H; }

undo() {
  systemctl daemon-reload
  if [ -e $F ]; then systemctl restart $UNIT; else restore; fi
}

restore() {
  paths
  systemctl stop $UNIT || :
  rm -f $H $F $D/multi-user.target.wants/$UNIT
  systemctl daemon-reload
  systemctl reset-failed $UNIT 2>/dev/null || :
  rmdir -p ${H%/*} 2>/dev/null || :
  case $(getent passwd metrics-tunnel-ssh) in *"$GECOS"*) grep -qs . $D/metrics-tunnel-*.service || poll 5 "userdel metrics-tunnel-ssh" || : ;; esac
}

present() {
  paths
  [ -e $F ]
}

# What keeps the unit from running as its file says.
check() {
  paths
  systemctl show -p UnitFileState -p ActiveState -p DropInPaths $UNIT | while IFS= read -r W; do
    case $W in
    UnitFileState=enabled) ;;
    UnitFileState=masked*) echo "$UNIT is masked" ;;
    UnitFileState=*) echo "$UNIT is not enabled" ;;
    ActiveState=inactive | ActiveState=failed | ActiveState=deactivating) echo "$UNIT is stopped" ;;
    DropInPaths=*"/$UNIT.d/"*) echo "$UNIT is overridden by $(overrides | tr '\n' ' ')" ;;
    esac
  done
}
