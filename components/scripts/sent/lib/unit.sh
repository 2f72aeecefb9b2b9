sandbox(){
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
without_unknown_settings(){
if [ "$systemd_version" -ge 248 ];then
cat
else
grep -v -e '^PrivateIPC=' -e '^NoExecPaths=' -e '^ExecPaths='
fi
}
note_unit(){
refuse_dropins_by_prefix
ran_before=
worked_before=
case $(shows "$unit" ActiveState) in
active|activating|reloading)ran_before=yes
esac
if [ -n "$ran_before" ]&&$1;then
worked_before=yes
fi
}
refuse_dropins_by_prefix(){
overriding=$(dropins_by_prefix)
[ -z "$overriding" ]||fail "$unit is overridden by $overriding, as are others whose names begin so;" \
"take that away, or give it another name"
}
dropins_by_prefix(){
{ dropins|grep -v -e '/service\.d/' -e "/$unit.d/"||:;}|paste -sd ' ' -
}
own_dropins(){ dropins|grep "/$unit.d/"||:;}
dropins(){ shows "$unit" DropInPaths|tr ' ' '\n'|grep .||:;}
run_unit(){
remember "$UNITS/multi-user.target.wants/$unit"
systemctl -q enable "$unit"
for dropin in $(own_dropins);do
[ -e "$dropin" ]||continue
remember "${dropin%/*}"
rm -r "${dropin%/*}"
text_changed=1
systemctl daemon-reload
done
started_at=$(date +%s)
if [ -n "$text_changed" ]||! is_running;then
start_again "$unit"||poll 6 is_running||fail "$unit does not start$(why_not_started); see: journalctl -u $unit"
fi
}
is_running(){ systemctl is-active -q "$unit";}
why_not_started(){
journalctl -u "$unit" -qo cat --since "@$started_at"|sed -n 's/^.*: \(Failed at step .*\)/: \1/p'|tail -n 1
}
undo_unit(){
systemctl daemon-reload
if [ ! -e "$unit_file" ];then
lost=$({ (restore) >/dev/null;} 3>&1)
elif [ -z "$ran_before" ];then
systemctl stop "$unit"
else
start_again "$unit"
flock -u 9
if [ -n "$worked_before" ];then
poll 20 "$1"||lost="$unit does not work as before; see: journalctl -u $unit"
fi
fi
}
drop_unit(){
systemctl stop "$unit"||:
away "$unit_file" "$unit_file.d.mt-old" "$UNITS/multi-user.target.wants/$unit" "$@"
systemctl daemon-reload
systemctl reset-failed "$unit" 2>/dev/null||:
}
